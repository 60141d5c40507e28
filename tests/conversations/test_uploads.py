#!/usr/bin/env python3
"""usage: test_uploads.py RONDO

Conversations about contents of requests that do not come to their end as they should.
"""

import socket
import tempfile
import threading

import raw
from raw import PATIENCE

BEGUN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"


def end_of_stream(client):
    client.sock.shutdown(socket.SHUT_WR)


def bad_chunk(client):
    client.send(b"zz\r\n")


def too_much(client):
    client.send(b"1000\r\n")


class Broken(raw.Conversation):
    """The client breaks its upload after the answer has begun. One that has ended its sending side still waits for
    its answer where clients.half_close says so."""

    WAYS = (end_of_stream, bad_chunk, too_much)
    REQUESTS = 8  # each of two backends could be suspected often enough

    def broken_uploads(self, break_off, script, settings=()):
        """What each client got, and the lines of the access log. Nobody may be marked."""
        answers = []
        with tempfile.NamedTemporaryFile() as log:
            settings = [f"log.access={log.name}", "limits.body_bytes=1k", "clients.half_close=true", *settings]
            with self.rondo(self.backend(script), self.backend(script), settings=settings) as rondo:
                for _ in range(self.REQUESTS):
                    client = self.client(rondo)
                    client.send(UPLOAD)
                    client.read_until(b"hi\r\n")
                    break_off(client)
                    answers.append(client.read_to_end())
            self.assertFalse(any(" is down" in line for line in rondo.lines), rondo.tail())
            self.assertFalse(any(" failed (" in line for line in rondo.lines), rondo.tail())
            return answers, [line for line in log.read().split(b"\n") if b"POST" in line]

    def test_the_backend_is_told_and_its_answer_goes_on(self):
        heard = []

        def script(peer, _number):
            peer.read_head()
            peer.send(BEGUN)
            heard.append(peer.read_to_end())
            peer.send(b"3\r\nbye\r\n0\r\n\r\n")

        for way in self.WAYS:
            with self.subTest(way=way.__name__):
                heard.clear()
                answers, lines = self.broken_uploads(way, script)
                self.assertEqual(heard, [b"3\r\nabc\r\n"] * self.REQUESTS)
                self.assertEqual(answers, [b"3\r\nbye\r\n0\r\n\r\n"] * self.REQUESTS)
                self.assertEqual([b" end=ok " in line for line in lines], [True] * self.REQUESTS)

    def test_a_backend_that_gives_up_then_has_not_failed(self):
        def script(peer, _number):
            peer.read_head()
            peer.send(BEGUN)
            peer.read_to_end()

        for way in self.WAYS:
            with self.subTest(way=way.__name__):
                answers, lines = self.broken_uploads(way, script)
                self.assertEqual(answers, [b""] * self.REQUESTS)
                self.assertEqual([b" end=client_gone " in line for line in lines],
                                 [True] * self.REQUESTS)

    def test_a_backend_that_falls_silent_then_has_not_failed(self):
        is_over = threading.Event()

        def script(peer, _number):
            peer.read_head()
            peer.send(BEGUN)
            is_over.wait(PATIENCE)

        for way in self.WAYS:
            with self.subTest(way=way.__name__):
                is_over.clear()
                answers, lines = self.broken_uploads(way, script, ["timeouts.response=100ms"])
                is_over.set()
                self.assertEqual(answers, [b""] * self.REQUESTS)
                self.assertEqual([b" end=client_gone " in line for line in lines],
                                 [True] * self.REQUESTS)


if __name__ == "__main__":
    raw.main(__doc__)
