#!/usr/bin/env python3
"""usage: test_log.py RONDO

Conversations in which many requests fail, and what rondo's own log says of them.
"""

import re
import threading

import raw
from clients import request
from raw import serve

MANY = 60


def count(rondo, line, reason):
    """Lines of the log, and how many more there were by its own word."""
    said = rondo.count_log(line)
    more = [re.search(rf"{reason}: (\d+) more within a second$", text) for text in list(rondo.lines)]
    return said, sum(int(match.group(1)) for match in more if match)


class Log(raw.Conversation):
    def check(self, rondo, line, reason):
        """Each request was said or counted, and ten lines a second were enough."""
        self.wait_until(lambda: sum(count(rondo, line, reason)) == MANY, lambda: count(rondo, line, reason))
        said, more = count(rondo, line, reason)
        self.assertGreater(more, 0)
        self.assertLess(said, MANY)

    def test_requests_that_fail_are_said_ten_times_a_second_and_then_counted(self):
        with self.rondo("http://127.0.0.1:1", settings=["queue.wait=0"]) as rondo:
            client = self.client(rondo)
            for _ in range(MANY):
                self.assertTrue(client.get("/gone")[0].startswith(b"HTTP/1.1 502 "))
            self.check(rondo, r"warning: GET /gone from 127\.0\.0\.1 failed \(refused, status 502\)", "refused")

    def test_requests_that_nobody_could_try_are_said_too(self):
        entered, release = threading.Event(), threading.Event()

        def hold(peer, _number):
            peer.read_head()
            entered.set()
            release.wait()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        backend = self.backend(hold)
        config = f'backends = ( {{ url = "{backend.url}"; max_connections = 1; }} );\n'
        with self.rondo(config=config, settings=["queue.wait=0"]) as rondo:
            holder, other = self.client(rondo), self.client(rondo)
            holder.send(request("/hold"))
            entered.wait()
            for _ in range(MANY):
                self.assertTrue(other.get("/full")[0].startswith(b"HTTP/1.1 503 "))
            release.set()
            self.assertTrue(holder.answer()[0].startswith(b"HTTP/1.1 200 "))
            self.check(rondo, r"warning: GET /full from 127\.0\.0\.1 failed \(limit, status 503\): no try", "limit")

    def test_what_clients_do_wrong_is_info(self):
        backend = self.backend(serve)
        with self.rondo(backend) as rondo:
            for _ in range(MANY):
                client = self.client(rondo)
                client.send(b"GET /wrong HTTP/1.1\r\nHost : a\r\n\r\n")
                self.assertTrue(client.read_head().startswith(b"HTTP/1.1 400 "))
                client.close()
            self.check(rondo, r"info: GET /wrong from 127\.0\.0\.1 refused: space before the colon$",
                       "space before the colon")

    def test_reasons_do_not_hide_each_other(self):
        backend = self.backend(serve)
        with self.rondo(backend) as rondo:
            for text in (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",) * 20 + (b"GET / HTTP/1.1\r\nA\r\n\r\n",):
                client = self.client(rondo)
                client.send(text)
                client.read_head()
                client.close()
            rondo.wait_log("refused: (?!space before the colon)")


if __name__ == "__main__":
    raw.main(__doc__)
