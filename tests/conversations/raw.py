"""What the Python conversations share: a rondo between backends that play scripts and clients that a test drives.

Both ends read and write bytes, so nothing is understood before it is looked at. They are those of tests/lib.
"""

import contextlib
import http.client
import os
import re
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from backends import Backend, FullBackend, serve  # noqa: E402,F401
from clients import Client  # noqa: E402
from peer import Peer, value  # noqa: E402,F401
from ports import free_port  # noqa: E402
from rondo import LOCAL, Rondo, binary_from_arguments, write_config  # noqa: E402,F401
from waiting import PATIENCE, wait_until  # noqa: E402,F401

frozen = Rondo.frozen


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


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
    def rondo(self, *backends, settings=(), config="", listen=LOCAL):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(config)
            file.flush()
            rondo = Rondo(self.binary, backends, settings, file.name if config else None, listen)
        with rondo:
            yield rondo
            # A stop gives idle clients a moment; none of these needs it.
            while self.closing:
                self.closing.pop().close()

    @contextlib.contextmanager
    def watched(self, *backends, settings=(), **options):
        """A rondo, and a function that gets a page of its admin side."""
        port = free_port()

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

    def full_backend(self):
        """Its queue is full: connects to it hang."""
        backend = FullBackend()
        self.closing.append(backend)
        return backend

    def let_it_turn(self, rondo):
        """When this returns, rondo has done all that could be done before."""
        for _ in range(4):
            client = self.client(rondo)
            client.send(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n")
            head, _ = client.answer()
            self.assertTrue(head.startswith(b"HTTP/1.1 405 "), head)

    def wait_until(self, condition, why=lambda: None):
        try:
            wait_until("what is waited for", condition)
        except AssertionError as fault:
            self.fail(f"{fault}: {why()}")

    @staticmethod
    def wait_for_line(rondo, text):
        rondo.wait_log(re.escape(text))

    @staticmethod
    def wait_for_descriptors(rondo, most):
        rondo.wait_descriptors(most)


def main(usage):
    """Runs the tests of the program that calls this."""
    Conversation.binary = binary_from_arguments(usage)
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:], warnings="ignore")
