#!/usr/bin/env python3
"""usage: test_least_requests.py RONDO

Conversations with balance = "least_requests": backends that answer when they are told to, or fail at once.
"""

import contextlib
import json
import threading
import time

import raw
from raw import PATIENCE, serve, value

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
LEAST = "balance=least_requests"


class Held:
    """Answers nothing until it may."""

    def __init__(self):
        self.got = threading.Semaphore(0)
        self.may_answer = threading.Event()

    def __call__(self, peer, _number):
        with contextlib.suppress(EOFError, OSError):
            while True:
                peer.read_head()
                self.got.release()
                self.may_answer.wait(PATIENCE)
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld")


class LeastRequests(raw.Conversation):
    SETTINGS = [LEAST, "silence.after=off", "max_delay_response=60s"]

    def asked(self, rondo, requests):
        """The backends that answered so many requests of one client, one after the other."""
        client = self.client(rondo)
        return [value(client.get()[0], b"x-app-url").decode() for _ in range(requests)]

    def test_without_load_they_take_turns(self):
        a, b, c = (self.backend(serve) for _ in range(3))
        with self.rondo(a, b, c, settings=[LEAST]) as rondo:
            self.assertEqual(self.asked(rondo, 6), 2 * [a.url, b.url, c.url])

    def test_without_load_turns_interleave_by_weight(self):
        a, b = self.backend(serve), self.backend(serve)
        config = f'balance = "least_requests"; backends = ( {{ url = "{a.url}"; weight = 3; }}, "{b.url}" );\n'
        with self.rondo(config=config) as rondo:
            self.assertEqual(self.asked(rondo, 8), 2 * [a.url, a.url, b.url, a.url])

    def test_a_busy_one_is_left_alone_until_the_others_are_as_busy(self):
        held = [Held() for _ in range(3)]
        a, b, c = (self.backend(script) for script in held)
        with self.watched(a, b, c, settings=self.SETTINGS) as (rondo, page):
            clients = []

            def begin(at):
                clients.append(self.client(rondo))
                clients[-1].send(GET)
                self.assertTrue(held[at].got.acquire(timeout=PATIENCE))

            for at in (0, 1, 2, 0, 1, 2):
                begin(at)
            held[1].may_answer.set()
            for client in (clients[1], clients[4]):
                self.assertEqual(client.answer()[1], b"held")
            held[1].may_answer.clear()
            for at in (1, 1, 2):  # the third finds all with two, and c behind b
                begin(at)
            status = json.loads(page("/status.json"))
            self.assertEqual(status["balance"], "least_requests")
            for script in held:
                script.may_answer.set()

    def test_one_that_fails_at_once_does_not_attract_requests(self):
        """The others need a moment, so it seldom has more in flight than they."""
        for request in (GET, POST):
            with self.subTest(request.split()[0]):
                self.fail_at_once(request)

    def fail_at_once(self, request):
        count = 0
        clients = 8

        def fails(peer, _number):
            nonlocal count
            with contextlib.suppress(EOFError, OSError):
                while True:
                    if peer.read_head().startswith(b"POST"):
                        peer.read(2)
                    count += 1
                    peer.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

        def needs_a_moment(peer, _number):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    if peer.read_head().startswith(b"POST"):
                        peer.read(2)
                    time.sleep(0.005)
                    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")

        bad, good = self.backend(fails), [self.backend(needs_a_moment) for _ in range(2)]
        with self.watched(bad, *good, settings=[LEAST, "retry_window=60s"]) as (rondo, page):
            busy = [self.client(rondo) for _ in range(clients)]
            for _ in range(40):
                for client in busy:
                    client.send(request)
                for client in busy:
                    client.answer()
            of_bad = json.loads(page("/status.json"))["backends"][0]
        self.assertEqual(of_bad["state"], "down")
        self.assertGreater(count, 0)
        self.assertLess(count, 3 * clients)


if __name__ == "__main__":
    raw.main(__doc__)
