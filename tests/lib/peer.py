"""A connection that a test reads byte by byte, as a client or as a backend."""

import socket
import struct

from waiting import PATIENCE


def reset_at_close(sock):
    """Closing it then sends RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def value(head, name):
    """The value of the first field with that name, in small letters, or None."""
    for line in head.split(b"\r\n")[1:]:
        key, _, text = line.partition(b":")
        if key.lower() == name:
            return text.strip()
    return None


def parse_head(head):
    """The start line and a dictionary of fields, as text; names in small letters."""
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    fields = {}
    for line in lines:
        name, _, text = line.partition(":")
        fields[name.lower()] = text.strip()
    return first, fields


class Peer:
    """A socket, and the bytes that came with what was asked for but belong behind it.

    All that is not defined here is done by the socket itself."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self.unread = b""
        self.was_reset = False  # known at the end of the stream

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def send(self, data):
        self.sock.sendall(data)

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError(f"ended after {self.unread[:2000]!r}")
        self.unread += data

    def _take(self, count):
        taken, self.unread = self.unread[:count], self.unread[count:]
        return taken

    def recv(self, most):
        """What there is, `most` bytes of it; nothing at the end of the stream."""
        return self._take(most) if self.unread else self.sock.recv(most)

    def read(self, count):
        while len(self.unread) < count:
            self._more()
        return self._take(count)

    def read_until(self, mark):
        """Everything up to and with `mark`."""
        while mark not in self.unread:
            self._more()
        return self._take(self.unread.index(mark) + len(mark))

    def read_head(self):
        return self.read_until(b"\r\n\r\n")

    def read_chunks(self):
        """The content of chunks; trailers are skipped."""
        content = b""
        while size := int(self.read_until(b"\r\n").partition(b";")[0], 16):
            content += self.read(size)
            self.read(2)
        while self.read_until(b"\r\n") != b"\r\n":
            pass
        return content

    def read_to_end(self):
        """All that comes before the end, or before a reset."""
        try:
            while data := self.sock.recv(65536):
                self.unread += data
        except ConnectionResetError:
            self.was_reset = True
        return self._take(len(self.unread))

    def is_closed(self):
        """Waits for the end of the connection: True when it came in order, False for a reset."""
        try:
            return self.recv(1) == b""
        except ConnectionError:
            return False

    def close(self):
        self.sock.close()

    def reset(self):
        reset_at_close(self.sock)
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
