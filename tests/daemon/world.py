"""What one test needs: the program, a place for files, a backend, and a configuration that can change."""

import argparse
import contextlib
import os
import tempfile

from backends import EchoBackend
from report import Report
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
        """Writes rondo.conf and answers its path. `listen` is an address, or a list of them."""
        if isinstance(listen, list):
            listen = '", "'.join(listen)
        urls = ", ".join(f'"{url}"' for url in backends or [self.backend.url])
        listen_line = f'listen = [ "{listen}" ];\n' if listen else ""
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


def run_tests(usage, functions):
    """Runs those among `functions` whose name begins with test_ and contains one of the names that were given."""
    parser = argparse.ArgumentParser(description=usage.split("\n", 1)[0])
    parser.add_argument("rondo")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--storm", type=float, default=2, metavar="SECONDS")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_intermixed_args()
    report = Report(quiet=not options.verbose)
    binary = os.path.abspath(options.rondo)
    for name, test in list(functions.items()):
        if name.startswith("test_") and (not options.names or any(wanted in name for wanted in options.names)):
            with contextlib.closing(World(binary, options.storm)) as world:
                report.run(test, world)
    return report.finish()
