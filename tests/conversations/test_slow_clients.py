#!/usr/bin/env python3
"""usage: test_slow_clients.py RONDO

Conversations with clients that send slowly, and what they occupy meanwhile.
"""

import contextlib
import socket
import tempfile
import threading
import time

import raw
from raw import LAST_CHUNK, PATIENCE, chunk, value

KEPT = 1024  # retry.body where a test needs to know it
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

BAD = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def post(size, fields=b""):
    return b"POST / HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n" % (fields, size)


def echo(peer, _number):
    """Answers with the content it got."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            head = peer.read_head()
            if value(head, b"expect"):
                peer.send(CONTINUE)
            content = peer.read(int(value(head, b"content-length") or 0))
            if value(head, b"transfer-encoding"):
                content = peer.read_until(LAST_CHUNK)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)


class Short(raw.Conversation):
    """Content that is announced as at most retry.body is awaited before a backend is picked."""

    def test_a_content_that_is_sent_slowly_reaches_no_backend_until_it_is_whole(self):
        for method in (b"POST", b"PUT", b"GET"):
            with self.subTest(method=method):
                backend = self.backend(echo)
                with self.rondo(backend) as rondo:
                    client = self.client(rondo)
                    for piece in post(6).replace(b"POST", method)[:-2], b"\r\n", b"abc", b"de":
                        client.send(piece)
                        self.let_it_turn(rondo)
                        self.assertEqual(backend.peers, [])
                    client.send(b"f")
                    head, content = client.answer()
                self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
                self.assertEqual(content, b"abcdef")

    def test_the_longest_is_one_of_retry_body(self):
        backend = self.backend(echo)
        with self.rondo(backend, settings=[f"retry.body={KEPT}"]) as rondo:
            client = self.client(rondo)
            client.send(post(KEPT) + b"x" * (KEPT - 1))
            self.let_it_turn(rondo)
            self.assertEqual(backend.peers, [])
            client.send(b"x")
            self.assertEqual(client.answer()[1], b"x" * KEPT)

    def test_many_of_them_leave_room_for_others(self):
        places = 20
        config = f'backends = ( {{ url = "%s"; max_connections = {places}; }} );\n'
        with self.rondo(config=config % self.backend(echo).url) as rondo:
            slow = [self.client(rondo) for _ in range(places)]
            for client in slow:
                client.send(post(1000) + b"x" * 999)
            self.let_it_turn(rondo)
            head, _ = self.client(rondo).get()
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
            for client in slow:
                client.send(b"x")
            for client in slow:
                head, content = client.answer()
                self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
                self.assertEqual(content, b"x" * 1000)

    def test_one_that_stops_coming_gets_408_and_bothers_no_backend(self):
        backend = self.backend(echo)
        with tempfile.NamedTemporaryFile() as log:
            settings = ["timeouts.request_body=200ms", f"log.access={log.name}"]
            with self.rondo(backend, settings=settings) as rondo:
                client = self.client(rondo)
                client.send(post(6) + b"abc")
                head, _ = client.answer()
                self.assertEqual(client.read_to_end(), b"")
            line = log.read()
        self.assertTrue(head.startswith(b"HTTP/1.1 408 "), head)
        self.assertEqual(value(head, b"connection"), b"close")
        self.assertEqual(backend.peers, [])
        self.assertIn(b" end=timeout ", line)

    def test_its_time_is_that_between_two_reads(self):
        with self.rondo(self.backend(echo), settings=["timeouts.request_body=600ms"]) as rondo:
            client = self.client(rondo)
            client.send(post(4))
            for byte in b"slow":
                time.sleep(0.2)  # the client's time, in all more than the limit
                client.send(bytes([byte]))
            self.assertEqual(client.answer()[1], b"slow")

    def test_retry_deadline_begins_when_it_is_whole(self):
        def takes_its_time(peer, number):
            peer.read_head()
            time.sleep(0.2)  # the backend's time, well within the deadline
            peer.send(EMPTY)

        with self.rondo(self.backend(takes_its_time), settings=["retry.deadline=500ms"]) as rondo:
            client = self.client(rondo)
            client.send(post(6) + b"abc")
            time.sleep(0.6)  # the client's time
            client.send(b"def")
            self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 200 "))

    def test_a_request_behind_it_is_the_next_one(self):
        with self.rondo(self.backend(echo)) as rondo:
            client = self.client(rondo)
            client.send(post(6) + b"abc")
            self.let_it_turn(rondo)
            client.send(b"def" + post(3) + b"gh")
            self.assertEqual(client.answer()[1], b"abcdef")
            client.send(b"i" + post(0))
            self.assertEqual(client.answer()[1], b"ghi")
            self.assertEqual(client.answer()[1], b"")

    def test_a_short_content_may_be_as_long_as_a_buffer_with_a_long_head(self):
        """And what else fits behind them."""
        fields = b"X: " + b"x" * 15000 + b"\r\n"
        with self.rondo(self.backend(echo)) as rondo:
            client = self.client(rondo)
            client.send((post(65536, fields) + b"y" * 65536) * 4)
            for _ in range(4):
                self.assertEqual(client.answer()[1], b"y" * 65536)


class Streaming(raw.Conversation):
    """Any other content goes on as it comes."""

    def reaches_a_backend(self, request, first, rest):
        """The backend has `first` of the content before the client sends `rest`."""
        has_begun = threading.Event()

        def script(peer, _number):
            peer.read_head()
            peer.read_until(first)
            has_begun.set()
            peer.read_until(rest)
            peer.send(EMPTY)

        with self.rondo(self.backend(script), settings=[f"retry.body={KEPT}"]) as rondo:
            client = self.client(rondo)
            client.send(request + first)
            self.assertTrue(has_begun.wait(PATIENCE))
            client.send(rest)
            self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 200 "))

    def test_content_that_is_longer_than_what_is_kept(self):
        self.reaches_a_backend(post(KEPT + 1), b"x" * KEPT, b"y")

    def test_content_whose_length_is_not_known(self):
        self.reaches_a_backend(CHUNKED, chunk(b"abc"), chunk(b"def") + LAST_CHUNK)

    def test_any_content_where_none_is_kept(self):
        def script(peer, _number):
            peer.read_head()
            peer.send(CONTINUE)
            peer.read(1)
            peer.send(EMPTY)

        backend = self.backend(script)
        with self.rondo(backend, settings=["retry.body=0"]) as rondo:
            client = self.client(rondo)
            client.send(post(1))
            self.wait_until(lambda: backend.peers)
            client.send(b"x")
            self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 200 "))

    def test_content_of_a_client_that_waits_to_be_told(self):
        def script(peer, _number):
            peer.read_head()
            peer.send(CONTINUE)
            peer.read(3)
            peer.send(EMPTY)

        with self.rondo(self.backend(script)) as rondo:
            client = self.client(rondo)
            client.send(post(3, b"Expect: 100-continue\r\n"))
            self.assertEqual(client.read_head(), CONTINUE)
            client.send(b"abc")
            self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 200 "))


class Trials(raw.Conversation):
    """The first of two backends fails one GET, and then comes back by a trial."""

    def fails_once(self, put):
        """Such a backend, which answers a PUT by `put(peer)`, and an event that tells that one has come."""
        is_sick, has_put = threading.Event(), threading.Event()
        is_sick.set()

        def script(peer, _number):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    if peer.read_head().startswith(b"PUT"):
                        has_put.set()
                        put(peer)
                        continue
                    peer.send(BAD if is_sick.is_set() else EMPTY)
                    is_sick.clear()

        return self.backend(script), has_put

    @contextlib.contextmanager
    def trial_of(self, first, has_put, request):
        """Until it has got one of the two PUTs as its trial: yields rondo, a client, those two, and its name."""
        name = f"backend {first.url[7:]}"
        with self.rondo(first, self.backend(echo), settings=["retry_window=50ms"]) as rondo:
            client = self.client(rondo)
            self.assertTrue(client.get()[0].startswith(b"HTTP/1.1 200 "))
            self.wait_for_line(rondo, f"{name} is on trial")
            slow = [self.client(rondo) for _ in range(2)]  # one of them has its turn there
            for one in slow:
                one.send(request)
            self.assertTrue(has_put.wait(PATIENCE))
            yield rondo, client, slow, name

    def test_one_that_waits_for_its_client_is_passed_on(self):
        """It may last for as long as the client likes; the backend comes back by the request of another one. What
        becomes of it then decides nothing."""
        def put(peer):
            peer.read_until(LAST_CHUNK)
            peer.send(BAD)

        request = CHUNKED.replace(b"POST", b"PUT") + chunk(b"abc")
        with self.trial_of(*self.fails_once(put), request) as (rondo, client, slow, name):
            for _ in range(4):
                self.assertTrue(client.get()[0].startswith(b"HTTP/1.1 200 "))
            self.wait_for_line(rondo, f"{name} is up: trial succeeded")
            for one in slow:
                one.send(LAST_CHUNK)
                self.assertTrue(one.answer()[0].startswith(b"HTTP/1.1 200 "))
        self.assertEqual(sum(" is down" in line for line in rondo.lines), 1)

    def test_one_whose_client_waits_to_be_told_is_not(self):
        """There it is the backend that is waited for."""
        may_answer = threading.Event()

        def put(peer):
            may_answer.wait(PATIENCE)
            peer.send(EMPTY)

        request = post(3, b"Expect: 100-continue\r\n").replace(b"POST", b"PUT")
        first, has_put = self.fails_once(put)
        with self.trial_of(first, has_put, request) as (rondo, client, _, name):
            before = len(first.peers)
            for _ in range(4):
                self.assertTrue(client.get()[0].startswith(b"HTTP/1.1 200 "))
            self.assertEqual(len(first.peers), before)
            self.assertFalse(any(f"{name} is up" in line for line in rondo.lines))
            may_answer.set()
            self.wait_for_line(rondo, f"{name} is up: trial succeeded")

    def test_nor_does_one_that_has_failed_wait_for_a_client_that_sends_to_another(self):
        """Told to go on by the second backend, the client takes its time; the first one is tried meanwhile."""
        request = post(3, b"Expect: 100-continue\r\n").replace(b"POST", b"PUT")
        with self.trial_of(*self.fails_once(lambda peer: peer.send(BAD)), request) as (rondo, client, slow, name):
            for one in slow:
                self.assertEqual(one.read_head(), CONTINUE)
            for _ in range(4):
                self.assertTrue(client.get()[0].startswith(b"HTTP/1.1 200 "))
            self.wait_for_line(rondo, f"{name} is up: trial succeeded")


class Deaf(raw.Conversation):
    def test_one_that_takes_nothing_of_its_answer_is_cut_off_although_its_upload_goes_on(self):
        """A byte now and then is no sign that it reads."""
        has_ended = threading.Event()

        def script(peer, _number):
            peer.read_head()
            with contextlib.suppress(OSError):
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100000000)
            has_ended.set()

        with self.rondo(self.backend(script), settings=["timeouts.send=500ms"]) as rondo:
            client = self.client(rondo)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.send(CHUNKED)
            end = time.monotonic() + PATIENCE
            with contextlib.suppress(OSError):
                while not has_ended.wait(0.05) and time.monotonic() < end:
                    client.send(chunk(b"x"))
            self.assertTrue(has_ended.wait(PATIENCE))
        self.assertFalse(any(" is down" in line for line in rondo.lines), rondo.tail())


if __name__ == "__main__":
    raw.main(__doc__)
