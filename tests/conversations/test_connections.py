#!/usr/bin/env python3
"""usage: test_connections.py RONDO

Conversations about connections to backends: what it means when one that was used before fails, and what becomes of
those that are not used while others are wanted.
"""

import contextlib
import os
import signal
import socket
import tempfile
import threading
import time

import raw
from raw import LAST_CHUNK, PATIENCE, chunk, value

GET = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
PUT = b"PUT /next HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"PUT /next HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"abc") + LAST_CHUNK
POST = b"POST /next HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
NO_BEGIN = (b"\x15\x03\x01\x00\x02\x02\x46", b"\0", b"hello", b"http/1.1 200 OK\r\n\r\n", b"HTTPS")


class Reused(raw.Conversation):
    """A backend answers the first request on each connection, and says something odd to the next one."""

    def ask_twice(self, request, says):
        """What the backend says to `request` and then ends: the status of the answer, on how many connections it was
        asked for, and how often a free second try is counted. Nobody may be marked."""
        asked = []

        def script(peer, number):
            if number == 0:
                peer.read_head()
                peer.send(GOOD)
            peer.read_until(b"/next")
            asked.append(number)
            peer.read_until(request[-4:])
            peer.send(says if number == 0 else GOOD)

        with self.watched(self.backend(script)) as (rondo, page):
            client = self.client(rondo)
            client.get()
            client.send(request)
            status = client.answer()[0].split()[1]
            counted = [line.split()[1] for line in page("/metrics").splitlines()
                       if line.startswith('rondo_retries_total{reason="stale"}')]
        self.assertFalse(any(" is down" in line for line in rondo.lines), rondo.tail())
        return status, asked, counted

    def test_bytes_that_no_response_begins_with_are_no_answer_to_what_can_be_repeated(self):
        for says in NO_BEGIN:
            for request in (GET, PUT, CHUNKED):
                with self.subTest(says=says, request=request):
                    self.assertEqual(self.ask_twice(request, says), (b"200", [0, 1], ["1"]))

    def test_nor_is_a_408_that_crossed_it(self):
        for request in (GET, PUT, CHUNKED):
            with self.subTest(request=request):
                self.assertEqual(self.ask_twice(request, TIMED_OUT), (b"200", [0, 1], ["1"]))

    def test_an_end_without_a_byte_is_counted_with_them(self):
        self.assertEqual(self.ask_twice(GET, b""), (b"200", [0, 1], ["1"]))

    def test_what_cannot_be_repeated_has_no_other_answer(self):
        self.assertEqual(self.ask_twice(POST, TIMED_OUT), (b"408", [0], ["0"]))
        self.assertEqual(self.ask_twice(POST, b"hello"), (b"502", [0], ["0"]))

    def test_any_other_answer_is_one(self):
        for status in (b"400", b"409"):
            self.assertEqual(self.ask_twice(GET, TIMED_OUT.replace(b"408", status)), (status, [0], ["0"]))


class Fresh(raw.Conversation):
    def test_a_408_is_an_answer(self):
        def script(peer, _number):
            peer.read_head()
            peer.send(TIMED_OUT)

        backend = self.backend(script)
        with self.rondo(backend) as rondo:
            self.assertTrue(self.client(rondo).get()[0].startswith(b"HTTP/1.1 408 "))
        self.assertEqual(len(backend.peers), 1)

    def test_bytes_that_no_response_begins_with_are_a_broken_one(self):
        def script(peer, _number):
            peer.read_head()
            peer.send(b"hello")

        backend = self.backend(script)
        with self.rondo(backend) as rondo:
            self.assertTrue(self.client(rondo).get()[0].startswith(b"HTTP/1.1 502 "))
        self.assertEqual(len(backend.peers), 1)


class Places(raw.Conversation):
    """max_connections and what is idle in the pool."""

    def test_idle_connections_give_way_to_a_new_one(self):
        """There are five of them when two become the limit. One is used and turns out to be dead: another is opened,
        and then there are no more than two."""
        many, may_answer = 5, threading.Event()
        asked = threading.Semaphore(0)
        open_peers = set()

        def script(peer, number):
            open_peers.add(number)
            try:
                while True:
                    target = peer.read_head().split()[1]
                    asked.release()
                    may_answer.wait(PATIENCE)
                    if target == b"/dead" and number < many:
                        break
                    peer.send(GOOD)
            except (EOFError, OSError):
                pass
            finally:
                open_peers.discard(number)

        url = self.backend(script).url
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            config = (f'backends = ( {{ url = "{url}"; max_connections = %d; }} );\n'
                      'timeouts: { backend_idle = "1h"; };\n')
            file.write(config % many)
            file.flush()
            rondo = raw.Rondo(self.binary, [], (), file.name)
            with rondo:
                clients = [self.client(rondo) for _ in range(many)]
                for client in clients:
                    client.send(GET)
                for _ in clients:
                    self.assertTrue(asked.acquire(timeout=PATIENCE))
                may_answer.set()
                for client in clients:
                    client.answer()
                self.let_it_turn(rondo)
                file.seek(0)
                file.truncate()
                file.write(config % 2)
                file.flush()
                os.kill(rondo.pid, signal.SIGHUP)
                self.wait_for_line(rondo, "reloaded: ")
                self.assertEqual(len(open_peers), many)
                self.assertTrue(clients[0].get("/dead")[0].startswith(b"HTTP/1.1 200 "))
                self.wait_until(lambda: len(open_peers) <= 2, lambda: str(open_peers))
                while self.closing:
                    self.closing.pop().close()


class Aged(raw.Conversation):
    def ask(self, rondo, asked, is_enough):
        """Asks again and again; how long it took."""
        client = self.client(rondo)
        began = time.monotonic()
        while not is_enough(asked):
            client.get()
        return time.monotonic() - began

    def count(self, *settings):
        """A rondo, and the numbers of the connections that requests came on."""
        asked = []

        def script(peer, number):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    peer.read_head()
                    asked.append(number)
                    peer.send(GOOD)

        return self.rondo(self.backend(script), settings=settings), asked

    def test_a_connection_that_is_older_than_its_limit_is_not_used_again(self):
        start, asked = self.count("timeouts.backend_age=100ms")
        with start as rondo:
            self.assertGreater(self.ask(rondo, asked, lambda asked: 2 in asked), 0.2)
        self.assertEqual(asked, sorted(asked))

    def test_without_a_limit_it_is(self):
        start, asked = self.count("timeouts.backend_age=0")
        with start as rondo:
            self.ask(rondo, asked, lambda asked: len(asked) == 100)
        self.assertEqual(set(asked), {0})


class Queues(raw.Conversation):
    """A Unix socket whose accept queue is full."""

    def full_socket(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        path = place.name + "/full"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(0)
        listener.settimeout(PATIENCE)
        self.closing.append(listener)
        waiting = []
        with contextlib.suppress(BlockingIOError):
            while True:
                sock = socket.socket(socket.AF_UNIX)
                self.closing.append(sock)
                sock.setblocking(False)
                sock.connect(path)
                waiting.append(sock)
        return f"unix:{path}", listener, waiting

    def test_where_it_is_the_only_one_the_answer_is_503_with_retry_after(self):
        """And when there is room again it is used."""
        url, listener, waiting = self.full_socket()
        with self.rondo(url) as rondo:
            client = self.client(rondo)
            for request in (GET, POST):
                client.send(request)
                head, _ = client.answer()
                self.assertTrue(head.startswith(b"HTTP/1.1 503 "), head)
                self.assertIsNotNone(value(head, b"retry-after"))
            for _ in waiting:
                listener.accept()[0].close()
            client.send(GET)
            peer = raw.Peer(listener.accept()[0])
            self.closing.append(peer)
            peer.read_head()
            peer.send(GOOD)
            self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 200 "))
        self.assertFalse(any(" is down" in line for line in rondo.lines), rondo.tail())

    def test_where_there_is_another_one_that_answers(self):
        url, _, _ = self.full_socket()
        with self.rondo(url, self.backend(raw.serve)) as rondo:
            client = self.client(rondo)
            for request in (GET, POST, GET, POST):
                client.send(request)
                self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 200 "))
        self.assertFalse(any(" is down" in line for line in rondo.lines), rondo.tail())


if __name__ == "__main__":
    raw.main(__doc__)
