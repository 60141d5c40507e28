#!/usr/bin/env python3
"""usage: test_response_times.py RONDO

Conversations after which it is looked at what rondo takes for a backend's response time, and how it weighs.
"""

import contextlib
import json
import time

import raw
from raw import LAST_CHUNK, chunk, serve

SLOW = LONG = 1.2  # seconds that a client, or an answer, takes, and far more than a backend needs
# Chunks go on to the backend as they come; short content of a known length is awaited.
POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"


class Watched(raw.Conversation):
    @contextlib.contextmanager
    def told_of(self, *backends, settings=()):
        """A rondo, and what it tells of its first backend."""
        with self.watched(*backends, settings=settings) as (rondo, page):
            yield rondo, lambda: json.loads(page("/status.json"))["backends"][0]

    def post_slowly(self, rondo):
        client = self.client(rondo)
        client.send(POST + chunk(b"123"))
        time.sleep(SLOW)
        client.send(chunk(b"456") + LAST_CHUNK)
        return client.answer()[0]


class ResponseTimes(Watched):
    def test_what_a_client_takes_to_send_is_not_the_backends_time(self):
        def answers(peer, _number):
            peer.read_head()
            peer.read_until(LAST_CHUNK)
            peer.send(GOOD)

        with self.told_of(self.backend(answers)) as (rondo, status):
            self.assertTrue(self.post_slowly(rondo).startswith(b"HTTP/1.1 200 "))
            response = status()["response"]
        self.assertEqual(response["count"], 1)
        self.assertLess(response["average"], SLOW)

    def test_an_answer_before_the_whole_request_is_no_sample(self):
        def answers_early(peer, _number):
            peer.read_head()
            peer.send(GOOD)
            peer.read_to_end()

        with self.told_of(self.backend(answers_early)) as (rondo, status):
            client = self.client(rondo)
            client.send(POST + chunk(b"123"))
            self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 200 "))
            response = status()["response"]
        self.assertEqual(response["count"], 0)


class Weights(Watched):
    """Of two backends that share requests by their response times the second one is always quick."""

    SETTINGS = ["balance=adaptive", "timeouts.response=2s"]

    def weight_after(self, failing, fail):
        def works(peer, number):
            with contextlib.suppress(EOFError, OSError):
                failing(peer, number)

        first, second = self.backend(works), self.backend(serve)
        with self.told_of(first, second, settings=self.SETTINGS) as (rondo, status):
            self.assertEqual(status()["effective_weight"], 1)
            fail(rondo)
            # Both are looked at when the next one is picked; weights live for a tenth of a second.
            time.sleep(0.15)
            client = self.client(rondo)
            client.send(b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n")
            client.answer()
            self.assertEqual(status()["state"], "up")
            return status()["effective_weight"]

    def test_an_answer_that_is_cut_off_weighs_as_much_as_it_was_silent(self):
        def falls_silent(peer, _number):
            while b"/after" in peer.read_head():
                peer.send(GOOD)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngo")
            peer.read_to_end()

        def fail(rondo):
            client = self.client(rondo)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.read_to_end()[-2:], b"go")
            self.client(rondo).get()  # the second one's

        self.assertLess(self.weight_after(falls_silent, fail), 0.5)

    def test_nor_does_it_weigh_more_because_it_was_long(self):
        def breaks_at_last(peer, _number):
            while b"/after" in peer.read_head():
                peer.send(GOOD)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ng")
            time.sleep(LONG)
            peer.send(b"o")

        def fail(rondo):
            client = self.client(rondo)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.read_to_end()[-2:], b"go")
            self.client(rondo).get()  # the second one's

        self.assertEqual(self.weight_after(breaks_at_last, fail), 1)

    def test_a_failure_weighs_no_more_because_its_client_was_slow(self):
        def breaks(peer, _number):
            head = peer.read_head()
            if not head.startswith(b"POST"):
                peer.send(GOOD)
                return
            peer.read_until(LAST_CHUNK)
            peer.reset()

        def fail(rondo):
            self.assertTrue(self.post_slowly(rondo).startswith(b"HTTP/1.1 502 "))
            self.client(rondo).get()  # the second one's

        self.assertEqual(self.weight_after(breaks, fail), 1)


if __name__ == "__main__":
    raw.main(__doc__)
