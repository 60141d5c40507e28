"""What one test needs: the program, a place for files, a backend, and a configuration that can change."""

import os
import tempfile

from backends import EchoBackend
from rondo import LOCAL, Rondo, write_config


class World:
    """Ended by close()."""

    def __init__(self, binary, storm_s):
        self.binary = binary
        self.storm_s = storm_s
        self.directory = tempfile.TemporaryDirectory()
        self.backend = EchoBackend()

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def configure(self, text="", backends=None, listen=LOCAL, connections=1000):
        """Writes rondo.conf and answers its path."""
        urls = ", ".join(f'"{url}"' for url in backends or [self.backend.url])
        listen_line = f'listen = "{listen}";\n' if listen else ""
        write_config(self.path("rondo.conf"),
                     f"{listen_line}backends = ( {urls} );\nlimits = {{ connections = {connections}; }};\n{text}")
        return self.path("rondo.conf")

    def start(self, text="", backends=None, listen=LOCAL, connections=1000, **options):
        config = self.configure(text, backends, listen, connections)
        return Rondo(options.pop("binary", self.binary), config=config, listen=None, **options)

    def break_config(self):
        with open(self.path("rondo.conf"), "a", encoding="utf-8") as file:
            file.write("wieght = 3;\n")

    def close(self):
        self.backend.close()
        self.directory.cleanup()
