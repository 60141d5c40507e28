"""What the Python conversations share: raw clients, raw backends, and a rondo between them.

A backend plays a script in a thread for each connection that rondo opens to it; clients are driven by
the test itself. Both read and write bytes, so nothing is understood before it is looked at.
"""

import contextlib
import http.client
import os
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import harness  # noqa: E402

PATIENCE = 20  # seconds for anything at all to happen; a test that needs them has failed


class Peer:
    """A socket that is read by the letter."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self.unread = b""

    def send(self, data):
        self.sock.sendall(data)

    def read_until(self, mark):
        while mark not in self.unread:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f"ended after {self.unread[:2000]!r}")
            self.unread += data
        end = self.unread.index(mark) + len(mark)
        read, self.unread = self.unread[:end], self.unread[end:]
        return read

    def read(self, count):
        while len(self.unread) < count:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f"ended after {self.unread[:2000]!r}")
            self.unread += data
        read, self.unread = self.unread[:count], self.unread[count:]
        return read

    def read_head(self):
        return self.read_until(b"\r\n\r\n")

    def read_to_end(self):
        """What comes before the end, or before a reset."""
        try:
            while data := self.sock.recv(65536):
                self.unread += data
        except ConnectionResetError:
            pass
        read, self.unread = self.unread, b""
        return read

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Client(Peer):
    def __init__(self, rondo, address="127.0.0.1"):
        to = "::1" if ":" in address else "127.0.0.1"
        super().__init__(socket.create_connection((to, rondo.port), PATIENCE, (address, 0)))

    def get(self, target="/", fields=b""):
        self.send(b"GET " + target.encode() + b" HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
        return self.answer()

    def answer(self):
        """The status line and fields of an answer, and its content, which must have a length."""
        head = self.read_head()
        return head, self.read(int(value(head, b"content-length") or 0))


class Backend:
    """Listens, and plays `script(peer, number)` in a thread for each connection, counted from 0.

    With `is_local` on a Unix socket: what was sent there can be read at once, to the last byte."""

    def __init__(self, script, backlog=64, is_local=False):
        self.script = script
        self.directory = tempfile.TemporaryDirectory() if is_local else None
        if is_local:
            self.url = f"unix:{self.directory.name}/backend"
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.url[5:])
            self.listener.listen(backlog)
        else:
            self.listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
            self.port = self.listener.getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
        self.faults = []
        self.threads = []
        self.peers = []
        accepting = threading.Thread(target=self._accept, daemon=True)
        accepting.start()

    def _accept(self):
        number = 0
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            if self.directory:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            peer = Peer(sock)
            self.peers.append(peer)
            thread = threading.Thread(target=self._play, args=(peer, number), daemon=True)
            self.threads.append(thread)
            thread.start()
            number += 1

    def _play(self, peer, number):
        try:
            self.script(peer, number)
        except Exception as fault:  # noqa: BLE001 - shown by the test that owns the backend
            self.faults.append(fault)
        peer.close()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(PATIENCE)
        if self.directory:
            self.directory.cleanup()


@contextlib.contextmanager
def frozen(rondo):
    """Whatever happens meanwhile, rondo finds all of it when it goes on."""
    os.kill(rondo.pid, signal.SIGSTOP)
    try:
        while True:
            with open(f"/proc/{rondo.pid}/stat", encoding="utf-8") as stat:
                if stat.read().rpartition(") ")[2].startswith("T"):
                    break
            time.sleep(0.001)
        yield
    finally:
        os.kill(rondo.pid, signal.SIGCONT)


def value(head, name):
    """The value of the first field of that name, or None."""
    for line in head.split(b"\r\n")[1:]:
        key, _, text = line.partition(b":")
        if key.lower() == name:
            return text.strip()
    return None


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def serve(peer, _number):
    """Answers with the head it got, for as long as requests come."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            head = peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head) + head)


class Conversation(unittest.TestCase):
    binary = ""  # of rondo

    def setUp(self):
        self.backends = []
        self.closing = []

    def tearDown(self):
        for peer in self.closing:
            peer.close()
        for backend in self.backends:
            backend.stop()
            self.assertEqual(backend.faults, [])

    def backend(self, script, **options):
        backend = Backend(script, **options)
        self.backends.append(backend)
        return backend

    @contextlib.contextmanager
    def rondo(self, *backends, settings=(), config="", listen="127.0.0.1:0"):
        urls = [backend if isinstance(backend, str) else backend.url for backend in backends]
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(config)
            file.flush()
            rondo = harness.Rondo(
                self.binary, urls, settings, file.name if config else None, listen)
        with rondo:
            yield rondo
            # A stop gives idle clients a moment; none of these needs it.
            while self.closing:
                self.closing.pop().close()

    @contextlib.contextmanager
    def watched(self, *backends, settings=(), **options):
        """A rondo, and a function that gets a page of its admin side."""
        port = harness.free_port()

        def page(path):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            try:
                connection.request("GET", path)
                return connection.getresponse().read().decode()
            finally:
                connection.close()

        settings = [f"admin.http=127.0.0.1:{port}", *settings]
        with self.rondo(*backends, settings=settings, **options) as rondo:
            yield rondo, page

    def client(self, rondo, address="127.0.0.1"):
        client = Client(rondo, address)
        self.closing.append(client)
        return client

    def full_listener(self):
        """A listener whose queue is full: connects to it hang."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.closing.append(listener)
        port = listener.getsockname()[1]
        for _ in range(8):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
            self.closing.append(sock)
        return f"http://127.0.0.1:{port}"

    def let_it_turn(self, rondo):
        """When this returns, rondo has done all that could be done before."""
        for _ in range(4):
            client = self.client(rondo)
            client.send(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n")
            head, _ = client.answer()
            self.assertTrue(head.startswith(b"HTTP/1.1 405 "), head)

    def wait_until(self, condition, why=lambda: None):
        end = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, why())
            time.sleep(0.005)

    def wait_for_line(self, rondo, text):
        self.wait_until(lambda: any(text in line for line in rondo.lines),
                        lambda: f"no line with {text!r}:\n{rondo.tail()}")

    def wait_for_descriptors(self, rondo, most):
        self.wait_until(lambda: rondo.descriptors() <= most, lambda: f"{rondo.descriptors()}, not {most}")


def main(usage):
    """Runs the tests of the program that calls this."""
    Conversation.binary = harness.binary_from_arguments(usage)
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:], warnings="ignore")
