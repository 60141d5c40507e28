"""A supervisor for rondo, as systemd is one: the socket that $NOTIFY_SOCKET leads to."""

import os
import re
import socket
import struct
import tempfile
import threading

from waiting import wait_until


class Supervisor:
    """Keeps every datagram with the process it came from, in order."""

    def __init__(self, abstract=False):
        self.messages = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        if abstract:
            self.socket.bind(f"\0rondo-test-{os.getpid()}-{id(self)}")
            self.address = "@" + self.socket.getsockname()[1:].decode()
        else:
            self.place = tempfile.TemporaryDirectory()
            self.address = self.place.name + "/notify"
            self.socket.bind(self.address)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        room = socket.CMSG_SPACE(struct.calcsize("3i"))
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(65536, room)
            except OSError:
                return
            pid = struct.unpack("3i", ancillary[0][2])[0]
            self.messages.append((pid, data.decode().split("\n")))

    def wait(self, line, pid=None, after=0):
        """The position after the first message that has a line matching `line`."""

        def look():
            for position, (sender, lines) in enumerate(self.messages[after:], after + 1):
                if pid in (None, sender) and any(re.fullmatch(line, text) for text in lines):
                    return position
            return None

        try:
            return wait_until(f"notification {line}", look)
        except AssertionError as error:
            raise AssertionError(f"{error}; there were {self.messages}") from None

    def lines(self, pid=None):
        return [text for sender, lines in self.messages if pid in (None, sender) for text in lines]

    def close(self):
        self.socket.close()
