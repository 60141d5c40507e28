#!/usr/bin/env python3
"""usage: test_blame.py RONDO

Conversations in which something fails, and it matters who is held to be at fault.
"""

import contextlib
import threading

import raw
from raw import PATIENCE, serve

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"


class Blame(raw.Conversation):
    @staticmethod
    def downs(rondo):
        """What it said of backends that went down; all of it is there when it has ended."""
        return [line for line in rondo.lines if " is down: " in line]


class Poison(Blame):
    REQUESTS = 4  # more than mark a backend

    def test_what_nobody_answers_to_impatient_clients_marks_nobody(self):
        is_waited_for = threading.Event()

        def breaks(peer, _number):
            peer.read_head()
            peer.reset()

        def is_silent(peer, _number):
            peer.read_head()
            is_waited_for.set()
            peer.read_to_end()

        with self.rondo(self.backend(breaks), self.backend(is_silent)) as rondo:
            for _ in range(self.REQUESTS):
                is_waited_for.clear()
                client = self.client(rondo)
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertTrue(is_waited_for.wait(PATIENCE))
                client.reset()
                self.let_it_turn(rondo)
        self.assertEqual(self.downs(rondo), [])


class Suspicions(Blame):
    def test_two_requests_are_not_three(self):
        """Two failures that could not be compared, and then the first of these answers is cut off."""
        may_break = threading.Event()

        def fails(peer, number):
            peer.read_head()
            peer.read(1)
            peer.send(b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\n" + (b"N" if number == 0 else b"No!"))
            if number == 0:
                may_break.wait(PATIENCE)

        failing = self.backend(fails)
        with self.rondo(failing, self.backend(serve)) as rondo:
            client, other = self.client(rondo), self.client(rondo)
            client.send(POST)
            client.read_until(b"\r\n\r\nN")
            other.send(POST)
            self.assertTrue(other.answer()[0].startswith(b"HTTP/1.1 200 "))
            other.send(POST)
            self.assertTrue(other.answer()[0].startswith(b"HTTP/1.1 500 "))
            may_break.set()
            self.assertEqual(client.read_to_end(), b"")
        self.assertEqual(self.downs(rondo), [])


class Uploads(Blame):
    """Backends that wait for content, and for a client that does not send it."""

    def upload_to(self, impatient):
        """The status for a client whose first backend does not wait for the rest, and what is said of that."""
        others_turn = threading.Event()

        def answers(peer, _number):
            peer.read_head()
            peer.read(3)
            others_turn.set()
            peer.read(3)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")

        with self.rondo(self.backend(impatient), self.backend(answers)) as rondo:
            client = self.client(rondo)
            client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n123")
            self.assertTrue(others_turn.wait(PATIENCE))
            client.send(b"456")
            head, _ = client.answer()
        return head.split()[1], self.downs(rondo)

    @staticmethod
    def has_enough_of(peer):
        """Waits for more, longer than a second, which it takes to be impatient."""
        peer.sock.settimeout(1.1)
        with contextlib.suppress(TimeoutError):
            peer.read(1)

    def test_a_backend_that_does_not_wait_for_a_slow_client_is_not_to_blame(self):
        def closes(peer, _number):
            peer.read_head()
            peer.read(3)
            self.has_enough_of(peer)

        def resets(peer, number):
            closes(peer, number)
            peer.reset()

        def continues(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            peer.read(3)
            self.has_enough_of(peer)

        for impatient in (closes, resets, continues):
            with self.subTest(impatient.__name__):
                self.assertEqual(self.upload_to(impatient), (b"200", []))

    def test_nor_is_one_whose_requests_cannot_be_sent_elsewhere(self):
        def closes(peer, _number):
            peer.read_head()
            peer.read(3)
            self.has_enough_of(peer)

        with self.rondo(self.backend(closes), self.backend(closes)) as rondo:
            clients = [self.client(rondo) for _ in range(8)]
            for client in clients:
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n123")
            for client in clients:
                head, _ = client.answer()
                self.assertTrue(head.startswith(b"HTTP/1.1 502 "), head)
        self.assertEqual(self.downs(rondo), [])

    def test_a_backend_that_breaks_at_once_is_to_blame_although_more_was_to_come(self):
        def closes(peer, _number):
            peer.read_head()
            peer.read(3)

        status, downs = self.upload_to(closes)
        self.assertEqual(status, b"200")
        self.assertEqual(len(downs), 1)

    def test_a_client_that_waits_for_a_100_is_not_slow(self):
        def closes(peer, _number):
            peer.read_head()
            self.has_enough_of(peer)

        def continues(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            peer.read(3)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")

        with self.rondo(self.backend(closes), self.backend(continues)) as rondo:
            client = self.client(rondo)
            client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                        b"Expect: 100-continue\r\n\r\n")
            self.assertEqual(client.read_head(), b"HTTP/1.1 100 Continue\r\n\r\n")
            client.send(b"123")
            self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 200 "))
        self.assertEqual(len(self.downs(rondo)), 1)

    def test_a_backend_that_breaks_in_its_answer_is_to_blame_however_slow_the_client(self):
        def breaks(peer, _number):
            peer.read_head()
            peer.read(3)
            peer.send(b"HTTP/1.1 200 O")

        status, downs = self.upload_to(breaks)
        self.assertEqual(status, b"200")
        self.assertEqual(len(downs), 1)


if __name__ == "__main__":
    raw.main(__doc__)
