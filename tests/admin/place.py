"""Backends that fail in a chosen way, and a rondo that is watched while they do."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from harness import Rondo, free_port


def until(condition, what, seconds=20):
    """The first true value of condition()."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never: {what}")
        time.sleep(0.02)


class Backend:
    """Listens on a port and does what `self.mode` says to each request."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    def __init__(self, mode="good", port=0):
        self.mode = mode
        self.held = []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(0 if mode == "full" else 64)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.name = f"127.0.0.1:{self.port}"
        if mode == "full":
            self._fill_queue()
        else:
            threading.Thread(target=self._accept, daemon=True).start()

    def _fill_queue(self):
        """Nobody accepts, and the queue has no room: a connect is not answered."""
        for _ in range(8):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", self.port))
            self.held.append(waiting)

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            while self._read_head(connection):
                if not self._answer(connection):
                    break
        except OSError:
            pass
        if self.mode != "silent":
            connection.close()

    @staticmethod
    def _read_head(connection):
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(65536)
            if not part:
                return False
            head += part
        return True

    def _answer(self, connection):
        if self.mode == "silent":
            self.held.append(connection)
            return False
        answers = {
            "good": self.ANSWER,
            "reset": b"",
            "garbage": b"what do you want?\r\n\r\n",
            "status": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            "cut off": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        }
        connection.sendall(answers[self.mode])
        return self.mode in ("good", "status")

    def close(self):
        self.listener.close()
        for connection in self.held:
            connection.close()


class Place:
    """A rondo with admin.http, admin.socket and an access log, and the ways to look at it."""

    def __init__(self, binary, backends, settings=(), config_text=None):
        self.directory = tempfile.mkdtemp(prefix="rondo-admin-")
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
        connection = http.client.HTTPConnection("127.0.0.1", self.rondo.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers
        except (http.client.HTTPException, OSError):
            return 0, {}
        finally:
            connection.close()

    def admin(self, path, method="GET", headers=None, body=None):
        """An answer of admin.http: status, fields, content."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

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

    def stop(self):
        wrong = self.rondo.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        return wrong

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        wrong = self.stop()
        if wrong and kind is None:
            raise AssertionError("rondo: " + wrong)
        return False
