"""Clients of rondo, by the byte: requests as text, and answers as they come or taken apart."""

import socket

from peer import Peer, parse_head, value
from waiting import PATIENCE

UPGRADE = "Connection: upgrade\r\nUpgrade: websocket\r\n"


def request(target="/", method="", fields="", content=b"", host="a"):
    """The bytes of a request. Without a method it is a GET, or a POST when it has content."""
    method = method or ("POST" if content else "GET")
    length = f"Content-Length: {len(content)}\r\n" if content else ""
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{length}{fields}\r\n".encode("latin-1") + content


class Client(Peer):
    """A connection to rondo, for requests one after the other."""

    def __init__(self, to, source=None):
        """`to`: a Rondo, a port of this machine or the path of a Unix socket. `source`: the address that the
        client has, or the address and the port; one of IPv6 leads to ::1."""
        to = getattr(to, "port", to)
        source = (source, 0) if isinstance(source, str) else source
        if isinstance(to, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE)
            sock.connect(to)
        else:
            host = "::1" if source and ":" in source[0] else "127.0.0.1"
            sock = socket.create_connection((host, to), PATIENCE, source)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock)

    def get(self, target="/", fields=b""):
        """The answer to a GET, as answer() has it."""
        self.send(request(target, fields=fields.decode("latin-1")))
        return self.answer()

    def answer(self):
        """The bytes of the next head, and of its content, which must have a length."""
        head = self.read_head()
        return head, self.read(int(value(head, b"content-length") or 0))

    def ask(self, target="/", method="", fields="", content=b"", host="a"):
        """The answer to a request, as receive() has it."""
        self.send(request(target, method, fields, content, host))
        return self.receive(method)

    def receive(self, method=""):
        """Status, fields and content of the next answer; raises EOFError when it is cut off."""
        first, fields = parse_head(self.read_head())
        if method == "HEAD":
            content = b""
        elif fields.get("transfer-encoding") == "chunked":
            content = self.read_chunks()
        else:
            content = self.read(int(fields.get("content-length", 0)))
        return int(first.split()[1]), fields, content

    def upgrade(self):
        """From here on it is a tunnel."""
        self.send(request("/tunnel", fields=UPGRADE))
        head = self.read_head()
        assert head.startswith(b"HTTP/1.1 101"), head


def ask(to, target="/", method="", fields="", content=b"", host="a"):
    """One request on a connection of its own: status, fields and content of the answer."""
    with Client(to) as client:
        return client.ask(target, method, fields, content, host)
