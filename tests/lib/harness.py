"""What the Python tests share: a rondo that runs, and a count of what held.

A Rondo listens on a port of the kernel's choice and is ended by its process id. Whatever it wrote
to stderr is kept, so that a failing test can show it and a sanitizer's report is never lost.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import threading

READY = "ready: listening on "
BROKEN = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion")


def free_port():
    """A port below those that the kernel gives to outgoing connections, so that it stays free."""
    while True:
        with socket.socket() as probe:
            try:
                port = random.randrange(12000, 32000)
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Report:
    """Counts checks, tells of those that failed, and ends with the one line a caller reads."""

    def __init__(self, quiet=True):
        self.passed = 0
        self.failed = 0
        self.quiet = quiet

    def ok(self, name):
        self.passed += 1
        if not self.quiet:
            print(f"ok      {name}", flush=True)

    def fail(self, name, why):
        self.failed += 1
        print(f"FAILED  {name}: {why}", flush=True)

    def check(self, name, why):
        """`why` is empty when all is well."""
        if why:
            self.fail(name, why)
        else:
            self.ok(name)
        return not why

    def skip(self, name, why):
        print(f"skipped {name}: {why}", flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed else 0


class Rondo:
    """A running daemon. Use it as a context manager, or call stop()."""

    def __init__(self, binary, backends, settings=(), config=None, listen="127.0.0.1:0"):
        command = [binary]
        if config:
            command += ["-c", config]
        command += ["--listen", listen]
        for url in backends:
            command += ["--backend", url]
        for setting in settings:
            command += ["--set", setting]
        self.binary = binary
        self.stopped = False
        self.lines = []
        self.port = 0
        self.ready = threading.Event()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, errors="replace", env=dict(os.environ, NO_COLOR="1"))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.ready.wait(60) or not self.port:
            self.process.kill()
            self.process.wait()
            raise SystemExit("rondo did not start: " + " ".join(command) + "\n" + self.tail())

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if READY in line and not self.ready.is_set():
                address = line.split(READY, 1)[1].split()[0].rstrip(",")
                self.port = int(address.rpartition(":")[2])
                self.ready.set()
        self.ready.set()

    @property
    def pid(self):
        return self.process.pid

    def tail(self, count=30):
        return "\n".join("    " + line for line in self.lines[-count:])

    def descriptors(self):
        """Those in use: pipes are kept for the next long content."""
        count = 0
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                count += not os.readlink(f"/proc/{self.pid}/fd/{name}").startswith("pipe:")
            except FileNotFoundError:
                pass
        return count

    def memory_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        return 0

    def stop(self):
        """Ends it cleanly; returns what was wrong with its life, or an empty string."""
        if self.stopped:
            return ""
        self.stopped = True
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                return "did not stop within 60 s of SIGTERM\n" + self.tail()
        self.reader.join(5)
        broken = [line for line in self.lines if any(word in line for word in BROKEN)]
        if self.process.returncode != 0 or broken:
            return f"exit status {self.process.returncode}\n" + self.tail(60)
        return ""

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        wrong = self.stop()
        if wrong and kind is None:
            raise AssertionError("rondo: " + wrong)
        return False


def binary_from_arguments(usage):
    """The path of rondo is the first argument of every test program."""
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        print(usage, file=sys.stderr)
        raise SystemExit(2)
    return os.path.abspath(sys.argv[1])
