"""What one test needs: the program, a place for files, a backend, and a configuration that can change."""

import os
import tempfile

from process import Daemon
from traffic import Backend

LOCAL = "127.0.0.1:0"


class World:
    """Ended by close()."""

    def __init__(self, binary, storm_s):
        self.binary = binary
        self.storm_s = storm_s
        self.directory = tempfile.TemporaryDirectory()
        self.backend = Backend()

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def configure(self, text="", backends=None, listen=LOCAL, connections=1000):
        """Writes rondo.conf, whole and at once, and answers its path."""
        urls = ", ".join(f'"{url}"' for url in backends or [self.backend.url])
        listen_line = f'listen = "{listen}";\n' if listen else ""
        with open(self.path("new"), "w", encoding="utf-8") as file:
            file.write(f"{listen_line}backends = ( {urls} );\nlimits = {{ connections = {connections}; }};\n")
            file.write(text)
        os.rename(self.path("new"), self.path("rondo.conf"))
        return self.path("rondo.conf")

    def start(self, text="", backends=None, listen=LOCAL, connections=1000, **options):
        config = self.configure(text, backends, listen, connections)
        return Daemon(options.pop("binary", self.binary), ["-c", config], **options)

    def break_config(self):
        with open(self.path("rondo.conf"), "a", encoding="utf-8") as file:
            file.write("wieght = 3;\n")

    def close(self):
        self.backend.close()
        self.directory.cleanup()
