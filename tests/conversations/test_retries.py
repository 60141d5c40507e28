#!/usr/bin/env python3
"""usage: test_retries.py RONDO

Conversations about what is tried again, what that costs, and what is kept for it.
"""

import contextlib
import os

import raw
from raw import value

MANY = 130  # more than a budget of 0 percent allows in ten seconds


class Budget(raw.Conversation):
    SETTINGS = ["retry.budget=0", "headers.attempts=x-attempts"]

    def test_a_free_second_try_costs_nothing(self):
        def serves_once_and_breaks(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            with contextlib.suppress(EOFError):
                peer.read_head()
            peer.reset()

        with self.rondo(self.backend(serves_once_and_breaks), settings=self.SETTINGS) as rondo:
            client = self.client(rondo)
            for i in range(MANY):
                head, _ = client.get()
                self.assertTrue(head.startswith(b"HTTP/1.1 200 "), (i, head))

    def test_a_try_that_sent_nothing_costs_nothing(self):
        """Nobody is up. The first one that is asked refuses, and the second one fails."""
        sick = set()

        def works(peer, name):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    peer.read_head()
                    status = b"500 No" if name in sick else b"200 OK"
                    peer.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

        first, second, third = [self.backend(lambda peer, _, name=name: works(peer, name), is_local=True)
                                for name in range(3)]
        settings = self.SETTINGS + ["retry.tries=2", "retry_window=60s"]
        with self.rondo(first, second, third, settings=settings) as rondo:
            client = self.client(rondo)
            sick.add(0)
            client.get()
            self.wait_for_line(rondo, f"backend {first.url} is down: status 500")
            sick.add(1)
            while not any(f"backend {second.url} is down: status 500" in line for line in rondo.lines):
                client.get()
                self.let_it_turn(rondo)
            for backend in (third, first):
                backend.close()
                backend.wait()
            self.assertTrue(client.get()[0].startswith(b"HTTP/1.1 502 "))
            for i in range(MANY):
                head, _ = client.get()
                self.assertTrue(head.startswith(b"HTTP/1.1 500 "), (i, head))
                self.assertEqual(len(value(head, b"x-attempts").split()), 2)


class Kept(raw.Conversation):
    """Content of which the first backend reads all, and then breaks."""

    KEPT = 1024

    def send(self, head, content, wire):
        """The status that the client gets, and the content that the second backend got."""
        got = []

        def read(peer):
            return peer.read_chunks() if b"chunked" in peer.read_head() else peer.read(len(content))

        def breaks(peer, _number):
            read(peer)
            peer.reset()

        def answers(peer, _number):
            got.append(read(peer))
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        with self.rondo(self.backend(breaks), self.backend(answers),
                        settings=[f"retry.body={self.KEPT}"]) as rondo:
            client = self.client(rondo)
            client.send(b"PUT / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n" + wire)
            status = client.answer()[0].split()[1]
        return status, got

    def expect_limit(self, frame):
        for size, status in ((self.KEPT, b"200"), (self.KEPT + 1, b"502")):
            content = os.urandom(size)
            with self.subTest(size=size):
                self.assertEqual(self.send(*frame(content)), (status, [content] if status == b"200" else []))

    def test_counted_content_is_kept_to_the_last_byte_of_retry_body_and_not_beyond(self):
        self.expect_limit(lambda content: (b"Content-Length: %d" % len(content), content, content))

    def test_chunked_content_is_kept_by_what_is_in_the_chunks(self):
        for size in (1, 100, 4096):
            self.expect_limit(lambda content, size=size: (
                b"Transfer-Encoding: chunked", content, self.chunks(content, size)))

    @staticmethod
    def chunks(content, size):
        pieces = [content[at:at + size] for at in range(0, len(content), size)]
        return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


if __name__ == "__main__":
    raw.main(__doc__)
