"""Backends in the process of the test, each on a port that the kernel chooses.

A Backend plays the script of a test. The others behave: they serve until they are closed. Each has a `url` for rondo,
and a `name` as rondo's log and its admin have it.
"""

import contextlib
import socket
import tempfile
import threading

from peer import Peer, parse_head
from waiting import PATIENCE


class Backend:
    """Listens, and plays `script(peer, number)` in a thread for each connection, counted from 0.

    With `is_local` it listens on a Unix socket: what was sent there can be read at once, to the last byte.
    Without `is_accepting` it accepts from accept() on."""

    def __init__(self, script, backlog=64, is_local=False, host="127.0.0.1", port=0, is_accepting=True):
        self.script = script
        self.directory = tempfile.TemporaryDirectory() if is_local else None
        if is_local:
            self.url = self.name = f"unix:{self.directory.name}/backend"
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.url[5:])
            self.listener.listen(backlog)
        else:
            self.listener = socket.create_server((host, port), backlog=backlog)
            self.port = self.listener.getsockname()[1]
            self.name = f"{host}:{self.port}"
            self.url = f"http://{self.name}"
        self.faults = []  # what scripts raised
        self.threads = []
        self.peers = []
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        if is_accepting:
            self.accept()

    def accept(self):
        """From now on connections are accepted."""
        self.accepting.start()

    def _accept(self):
        number = 0
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            if self.directory:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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

    def refuse(self):
        """From now on no connection is accepted; those that there are go on."""
        with contextlib.suppress(OSError):  # it has refused before
            self.listener.shutdown(socket.SHUT_RDWR)  # a close alone would not end the accept
        self.listener.close()
        self.accepting.join(PATIENCE)

    def close(self):
        """From now on no connection is accepted, and those that there are end."""
        self.refuse()
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)

    def wait(self):
        """Waits until all scripts have come to their end."""
        for thread in self.threads:
            thread.join(PATIENCE)

    def stop(self):
        """Lets the scripts come to their end, and leaves nothing behind."""
        self.refuse()
        self.wait()
        if self.directory:
            self.directory.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def serve(peer, _number):
    """A script that answers with the head it got, for as long as requests come."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            head = peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(head), head))


class EchoBackend(Backend):
    """Answers with the content of the request, or with its first line where there is none. A request for /hold is
    not answered before release(), one for /head is answered with its head. An upgrade makes a tunnel that echoes."""

    def __init__(self):
        self.released = threading.Event()
        self.held = threading.Semaphore(0)  # can be acquired once for each request that waits
        super().__init__(self._serve, backlog=512)

    def _serve(self, peer, _number):
        peer.settimeout(None)  # connections may be idle for long
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._answer(peer)

    def _answer(self, peer):
        head = peer.read_head()
        first, fields = parse_head(head)
        content = peer.read(int(fields.get("content-length", 0)))
        if " /head " in first:
            content = head
        if "upgrade" in fields:
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            while data := peer.recv(65536):
                peer.send(data)
            raise EOFError
        if " /hold" in first:
            self.held.release()
            self.released.wait()
        content = content or first.encode()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content))

    def release(self):
        self.released.set()

    def close(self):
        self.release()
        super().close()


class FullBackend:
    """Never accepts, and its queue has no room: nobody answers a connect to it."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self.listener.getsockname()[1]
        self.name = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.name}"
        self.waiting = [socket.socket() for _ in range(8)]
        for client in self.waiting:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", self.port))

    def close(self):
        self.listener.close()
        for client in self.waiting:
            client.close()
