"""Backends that fail in a chosen way, and a rondo that is watched while they do."""

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import tempfile
import termios

from backends import Backend, FullBackend
from clients import ask
from ports import free_port
from rondo import Rondo


class ModeBackend(Backend):
    """Does what `self.mode` says to each request."""

    ANSWERS = {
        "good": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "reset": b"",
        "garbage": b"what do you want?\r\n\r\n",
        "status": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "cut off": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    }

    def __init__(self, mode="good", port=0):
        self.mode = mode
        super().__init__(self._serve, port=port)

    def _serve(self, peer, _number):
        with contextlib.suppress(EOFError, OSError):
            while peer.read_head() and self._answer(peer):
                pass

    def _answer(self, peer):
        """Can there be another one?"""
        if self.mode == "silent":
            peer.read_to_end()
            return False
        peer.send(self.ANSWERS[self.mode])
        return self.mode in ("good", "status")


def failing_backend(mode):
    return FullBackend() if mode == "full" else ModeBackend(mode)


class Place:
    """A rondo with admin.http, admin.socket and an access log, and the ways to look at it."""

    def __init__(self, binary, backends, settings=(), config_text=None):
        self.files = tempfile.TemporaryDirectory(prefix="rondo-admin-")
        self.directory = self.files.name
        self.socket = os.path.join(self.directory, "admin.sock")
        self.log = os.path.join(self.directory, "access.log")
        self.config = os.path.join(self.directory, "rondo.conf")
        self.admin_port = free_port()
        self.ctl = os.path.join(os.path.dirname(binary), "rondoctl")
        with open(self.config, "w", encoding="ascii") as out:
            out.write(config_text or "")
        self.rondo = Rondo(binary, backends, list(settings) + [
            f"admin.http=127.0.0.1:{self.admin_port}", f"admin.socket={self.socket}",
            f"log.access={self.log}"], config=self.config if config_text else None)

    def client(self, path="/"):
        """The status of one request through the proxy; 0 when it was cut off."""
        return self.answer(path)[0]

    def answer(self, path="/"):
        """Status and fields of an answer through the proxy; 0 when it was cut off."""
        try:
            return ask(self.rondo, path)[:2]
        except (EOFError, OSError):
            return 0, {}

    def admin(self, path, method="GET", content=b"", host="localhost"):
        """An answer of admin.http: status, fields, content."""
        return ask(self.admin_port, path, method, content=content, host=host)

    def json(self, path):
        return json.loads(self.admin(path)[2])

    def backend(self, name):
        for backend in self.json("/status.json")["backends"]:
            if backend["name"] == name:
                return backend
        return None

    def metric(self, name, **labels):
        """The value of a series, or None."""
        text = self.admin("/metrics")[2].decode()
        for line in text.splitlines():
            match = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line)
            if match and match[1] == name:
                found = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                if found == {key: str(value) for key, value in labels.items()}:
                    return float(match[3])
        return None

    def rondoctl(self, *words):
        """Exit status and all that was printed."""
        done = subprocess.run([self.ctl, "-s", self.socket, *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout + done.stderr

    def top(self, has_colour=True):
        """`rondoctl top` in a terminal: its process id, and our end of the terminal."""
        pid, terminal = pty.fork()
        if pid == 0:
            environment = dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8", NO_COLOR="1")
            if has_colour:
                del environment["NO_COLOR"]
            os.execve(self.ctl, [self.ctl, "-s", self.socket, "top"], environment)
        return pid, terminal

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with self.files:
            self.rondo.__exit__(*error)


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
