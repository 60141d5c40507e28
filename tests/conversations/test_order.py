#!/usr/bin/env python3
"""usage: test_order.py RONDO

Conversations in which it matters what has arrived when rondo looks: it is stopped until all of it is there.
"""

import contextlib
import select
import signal
import socket
import tempfile
import threading
import time

import raw
from raw import LAST_CHUNK, PATIENCE, chunk, frozen, value

PUT = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


class Reuse(raw.Conversation):
    """Backend connections that are not used again."""

    SIZE = 350000  # more than a buffer holds, by far

    def test_bytes_behind_a_content_that_was_not_read_into_memory_are_never_interpreted(self):
        asked, may_answer, has_answered = threading.Event(), threading.Event(), threading.Event()
        more = []

        def script(peer, number):
            peer.read_head()
            if number > 0:
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
                return
            asked.set()
            may_answer.wait(PATIENCE)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.SIZE + b"A" * self.SIZE +
                      b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            has_answered.set()
            more.append(peer.read_to_end())

        with self.rondo(self.backend(script, is_local=True)) as rondo:
            client = self.client(rondo)
            client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(asked.wait(PATIENCE))
            with frozen(rondo):
                may_answer.set()
                self.assertTrue(has_answered.wait(PATIENCE))
            self.assertEqual(client.answer()[1], b"A" * self.SIZE)
            self.assertEqual(client.answer()[1], b"good")
            self.backends[0].threads[0].join(PATIENCE)
        self.assertEqual(more, [b""])

    def asked_for(self, converse):
        """What each connection to a backend was asked for, in order, while `converse` went on with a
        client, and then another client came. The backend answers before it has the content, and reads
        that when "/read" is asked for."""
        asked = []

        def script(peer, number):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    head = peer.read_head()
                    target = head.split()[1]
                    asked.append((number, target))
                    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
                    if target == b"/read":
                        peer.send(b"go")
                        peer.read_until(LAST_CHUNK)
                        peer.send(b"od")
                    else:
                        peer.send(b"good")

        with self.rondo(self.backend(script, is_local=True)) as rondo:
            converse(self.client(rondo))
            head, _ = self.client(rondo).get("/other")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        return asked

    def test_a_content_that_nobody_asked_for_is_not_read_as_the_next_request(self):
        content = b"GET /evil HTTP/1.1\r\nHost: a\r\nX: "  # the next request would complete it

        def converse(client):
            client.send(b"POST /unread HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                        b"Content-Length: %d\r\n\r\n" % len(content) + content)
            self.assertEqual(client.answer()[1], b"good")

        self.assertEqual(self.asked_for(converse), [(0, b"/unread"), (1, b"/other")])

    def test_a_connection_whose_answer_came_before_the_whole_request_is_not_used_again(self):
        def converse(client):
            client.send(b"POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"abc"))
            client.read_until(b"\r\n\r\ngo")
            client.send(chunk(b"def") + LAST_CHUNK)
            client.read_until(b"od")

        self.assertEqual(self.asked_for(converse), [(0, b"/read"), (1, b"/other")])


class Stale(raw.Conversation):
    """Pooled connections that end before the next request is sent."""

    def test_more_content_than_is_kept_goes_only_over_a_connection_that_lives(self):
        may_end = threading.Event()

        def script(peer, number):
            size = int(value(peer.read_head(), b"content-length") or 0)
            peer.read(size)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%04d" % size)
            if number == 0:
                may_end.wait(PATIENCE)

        settings = ["retry.body=1k", "timeouts.backend_idle=60s"]
        with self.rondo(self.backend(script, is_local=True), settings=settings) as rondo:
            client = self.client(rondo)
            self.assertEqual(client.get()[1], b"0000")
            with frozen(rondo):
                client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n" + b"x" * 4000)
                may_end.set()
                self.backends[0].threads[0].join(PATIENCE)
            head, content = client.answer()
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.assertEqual(content, b"4000")


class Deadlines(raw.Conversation):
    """Of tries that began before the client had sent all: short content whose length is known is awaited first."""

    def test_a_client_may_take_longer_than_retry_deadline_to_send_after_a_backend_broke(self):
        is_reached, may_break = threading.Event(), threading.Event()

        def breaks(peer, _number):
            peer.read_head()
            is_reached.set()
            may_break.wait(PATIENCE)
            peer.reset()

        def answers(peer, _number):
            peer.read_head()
            peer.read_until(LAST_CHUNK)
            time.sleep(0.2)  # its own time, well within the deadline
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")

        backends = [self.backend(breaks), self.backend(answers)]
        with self.rondo(*backends, settings=["retry.deadline=3s", "max_delay_response=2900ms"]) as rondo:
            client = self.client(rondo)
            client.send(PUT)
            self.assertTrue(is_reached.wait(PATIENCE))
            with frozen(rondo):
                client.send(chunk(b"123"))
                may_break.set()
                backends[0].threads[0].join(PATIENCE)
            time.sleep(3.2)  # the client's time
            client.send(chunk(b"456") + LAST_CHUNK)
            head, content = client.answer()
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.assertEqual(content, b"good")


    def test_the_deadline_has_not_begun_while_the_client_still_sends(self):
        def fails(peer):
            peer.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            peer.read_to_end()

        for how in (raw.Peer.reset, raw.Peer.close, fails):
            with self.subTest(how.__name__):
                self.send_slowly(how)

    def send_slowly(self, breaks_by):
        may_break, is_elsewhere = threading.Event(), threading.Event()

        def breaks(peer, _number):
            peer.read_head()
            may_break.wait(PATIENCE)
            breaks_by(peer)

        def answers(peer, _number):
            peer.read_head()
            is_elsewhere.set()
            peer.read_until(LAST_CHUNK)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")

        with self.rondo(self.backend(breaks), self.backend(answers), settings=["retry.deadline=1s"]) as rondo:
            client = self.client(rondo)
            client.send(PUT + chunk(b"123"))
            time.sleep(1.2)  # the client's time
            may_break.set()
            self.assertTrue(is_elsewhere.wait(PATIENCE))
            client.send(chunk(b"456") + LAST_CHUNK)
            head, content = client.answer()
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.assertEqual(content, b"good")


class Tunnels(raw.Conversation):
    # A buffer holds a head, the content that is kept, and trailers, which is about this. One of the sizes fills it.
    SETTINGS = ["retry.body=160k", "limits.header_bytes=1k"]
    SIZES = range(161 * 1024, 164 * 1024, 64)

    def test_early_bytes_of_a_tunnel_that_fill_the_buffer_are_passed_on_once(self):
        asked, answered = threading.Semaphore(0), threading.Semaphore(0)
        may_answer, may_go_on = threading.Event(), threading.Event()
        answer = b"HTTP/1.1 101 Switching Protocols\r\n" + UPGRADE + b"\r\n"

        def early(size):
            return bytes(range(256)) * (size // 256 + 1)

        def script(peer, _number):
            size = int(peer.read_head().split()[1][1:])
            asked.release()
            may_answer.wait(PATIENCE)
            peer.send((answer + early(size))[:size])
            answered.release()
            may_go_on.wait(PATIENCE)
            peer.send(b"late %d" % size)
            peer.read_to_end()

        backend = self.backend(script, backlog=256, is_local=True)
        with self.rondo(backend, settings=self.SETTINGS) as rondo:
            clients = {size: self.client(rondo) for size in self.SIZES}
            for size, client in clients.items():
                client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n" % size + UPGRADE + b"\r\n")
            for _ in clients:
                self.assertTrue(asked.acquire(timeout=PATIENCE))
            with frozen(rondo):
                may_answer.set()
                for _ in clients:
                    self.assertTrue(answered.acquire(timeout=PATIENCE))
            for size, client in clients.items():
                client.read_head()
                self.assertEqual(client.read(size - len(answer)), early(size)[:size - len(answer)])
            self.let_it_turn(rondo)
            may_go_on.set()
            for size, client in clients.items():
                late = b"late %d" % size
                self.assertEqual(client.read(len(late)), late, size)


class Pipelining(raw.Conversation):
    REQUESTS = 100

    def test_pipelined_requests_that_rondo_answers_itself_are_all_answered(self):
        settings = ["limits.connections=2"]
        with self.rondo("http://no-such-host.invalid:80", settings=settings) as rondo:
            client = self.client(rondo)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * self.REQUESTS)
            for _ in range(self.REQUESTS):
                head, _ = client.answer()
                self.assertTrue(head.startswith(b"HTTP/1.1 503 "), head)
            # And then there is nothing left to do.
            used = rondo.cpu_seconds()
            client.sock.settimeout(0.5)
            with self.assertRaises(TimeoutError):
                client.read(1)
            self.assertLess(rondo.cpu_seconds() - used, 0.25)

    def test_others_are_not_kept_waiting_for_the_last_of_many_pipelined_requests(self):
        with tempfile.NamedTemporaryFile() as log:
            settings = [f"log.access={log.name}"]
            with self.rondo("http://no-such-host.invalid:80", settings=settings) as rondo:
                greedy, other = self.client(rondo), self.client(rondo)
                self.let_it_turn(rondo)
                with frozen(rondo):
                    greedy.send(b"GET /many HTTP/1.1\r\nHost: a\r\n\r\n" * self.REQUESTS)
                    other.send(b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n")
                for _ in range(self.REQUESTS):
                    greedy.answer()
                other.answer()
            targets = [line.split()[6] for line in log.read().split(b"\n") if b"GET" in line]
        self.assertEqual(len(targets), self.REQUESTS + 1)
        self.assertLess(targets.index(b"/one"), self.REQUESTS)


class Ends(raw.Conversation):
    SIZE = 400000

    # Where a client that has ended its sending side still waits for what it has asked for.
    def test_a_client_that_ends_in_the_middle_of_a_request_gets_the_answer_before_it_whole(self):
        for tail in (b"", b"\r\n", b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\n"):
            with self.subTest(tail=tail):
                self.end_with(tail)

    def end_with(self, tail):
        def script(peer, _number):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    peer.read_head()
                    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.SIZE +
                              b"A" * self.SIZE)

        with self.rondo(self.backend(script), settings=["clients.half_close=true"]) as rondo:
            client = self.client(rondo)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + tail)
            client.sock.shutdown(socket.SHUT_WR)
            # All that the client has not taken is still on its way.
            self.let_it_turn(rondo)
            head, content = client.answer()
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
            self.assertEqual(content, b"A" * self.SIZE)
            self.assertEqual(client.read_to_end(), b"")


    def test_the_reset_of_a_cut_answer_does_not_overtake_the_answer_before_it(self):
        """The client takes its time to read that; then it can tell that the next one is cut off."""
        size = 200000
        has_said_all, may_break, has_broken = threading.Event(), threading.Event(), threading.Event()

        def script(peer, _number):
            peer.read_until(b"/1 HTTP")
            peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"A" * size)
            peer.read_until(b"/2 HTTP")
            peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
            has_said_all.set()
            may_break.wait(PATIENCE)
            peer.reset()
            has_broken.set()

        with self.rondo(self.backend(script)) as rondo:
            client = self.client(rondo)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            # To an HTTP/1.0 client only the end of the connection ends the second one.
            client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.0\r\n\r\n")
            self.assertTrue(has_said_all.wait(PATIENCE))
            self.let_it_turn(rondo)
            may_break.set()
            self.assertTrue(has_broken.wait(PATIENCE))
            self.let_it_turn(rondo)
            self.assertEqual(client.answer()[1], b"A" * size)
            client.read_until(b"\r\n\r\nhello")
            with self.assertRaises(ConnectionResetError):
                client.sock.recv(1)

    def test_what_a_client_sends_after_a_last_request_gets_no_reset(self):
        asked, may_answer = threading.Event(), threading.Event()
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"

        def script(peer, _number):
            peer.read_head()
            asked.set()
            may_answer.wait(PATIENCE)
            peer.send(answer)
            peer.read_to_end()

        with self.rondo(self.backend(script, is_local=True)) as rondo:
            client = self.client(rondo)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            self.assertTrue(asked.wait(PATIENCE))
            client.send(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
            may_answer.set()
            self.backends[0].threads[0].join(PATIENCE)
            # What was there to be sent or reset is sent, or reset.
            self.let_it_turn(rondo)
            self.assertEqual(client.answer()[1], b"good")
            self.assertEqual(client.sock.recv(1), b"")

    def test_a_stop_gives_little_time_to_whoever_goes_on_sending(self):
        with self.rondo(self.backend(raw.serve)) as rondo:
            client = self.client(rondo)
            client.get(fields=b"Connection: close\r\n")
            rondo.process.send_signal(signal.SIGTERM)
            # A client may linger for 15 s as long as it is never silent for 2; now it has those 2.
            end = time.monotonic() + 10
            while rondo.process.poll() is None and time.monotonic() < end:
                with contextlib.suppress(OSError):
                    client.send(b"x")
                select.select([], [], [], 0.1)
            self.assertIsNotNone(rondo.process.poll())


class Interims(raw.Conversation):
    def test_interim_answers_that_come_all_at_once_may_be_more_than_a_buffer_holds(self):
        interim = b"HTTP/1.1 103 Early Hints\r\nX: " + b"x" * 15000 + b"\r\n\r\n"

        def script(peer, _number):
            peer.read_head()
            peer.send(16 * interim + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        with self.rondo(self.backend(script, is_local=True)) as rondo:
            client = self.client(rondo)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            for _ in range(16):
                self.assertEqual(client.read_head(), interim)
            head, content = client.answer()
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.assertEqual(content, b"ok")


    def test_an_answer_whose_head_does_not_fit_is_a_shortage(self):
        """Interim answers fill the way to a client that does not read; each client gets one more than
        the one before. For one of them the last of these still fits, and the answer does not."""
        has_said_all = threading.Semaphore(0)

        def script(peer, _number):
            with contextlib.suppress(EOFError, OSError):
                interims = int(peer.read_head().split()[1][1:])
                try:
                    for _ in range(interims):
                        peer.send(b"HTTP/1.1 103 Early Hints\r\nX: " + b"x" * 900000 + b"\r\n\r\n")
                    peer.send(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000000 + b"\r\n"
                              b"Content-Length: 0\r\nConnection: close\r\n\r\n")
                finally:
                    has_said_all.release()

        config = 'limits: { header_bytes = "1m"; };\n'
        answers = []
        with self.rondo(self.backend(script), config=config) as rondo:
            for interims in range(1, 13):
                client = self.client(rondo)
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
                client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % interims)
                self.assertTrue(has_said_all.acquire(timeout=PATIENCE))
                self.let_it_turn(rondo)
                heads = client.read_to_end().split(b"\r\n\r\n")
                head = next(head for head in heads if not head.startswith(b"HTTP/1.1 103 "))
                answers.append((head.split()[1], value(head, b"retry-after"),
                                value(head, b"proxy-status")))
        self.assertLessEqual(set(answers), {
            (b"200", None, None), (b"503", b"1", b"rondo; error=proxy_internal_error")})
        self.assertIn(b"503", [status for status, _, _ in answers])


class Trials(raw.Conversation):
    ATTEMPTS = 12

    def test_a_trial_is_not_left_open_by_a_101_that_does_not_fit(self):
        """The first backend's interim answers fill the way to a client that does not read. What comes then goes to
        the second one, which is on trial and cannot be heard either: another request is its trial."""
        sick = threading.Event()
        sick.set()
        has_said_all = threading.Semaphore(0)

        def script(peer, _number):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    target = peer.read_head().split()[1]
                    try:
                        self.answer_to(peer, target, b"200 OK")
                    finally:
                        if target != b"/":
                            has_said_all.release()

        def sick_once(peer, _number):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    target = peer.read_head().split()[1]
                    status = b"503 No" if sick.is_set() else b"200 OK"
                    sick.clear()
                    self.answer_to(peer, target, status)

        first, second = self.backend(script), self.backend(sick_once)
        config = (f'backends = ( {{ url = "{first.url}"; weight = 100; }}, "{second.url}" );\n'
                  'limits: { header_bytes = "1m"; };\nretry_window = "20ms";\n')
        name = f"backend 127.0.0.1:{second.port}"
        with self.rondo(config=config) as rondo:
            client = self.client(rondo)
            while sick.is_set():
                client.get()
            self.wait_for_line(rondo, f"{name} is down: ")
            self.wait_for_line(rondo, f"{name} is on trial")
            for interims in range(1, self.ATTEMPTS + 1):
                deaf = self.client(rondo)
                deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n" % interims + UPGRADE + b"\r\n")
                self.assertTrue(has_said_all.acquire(timeout=PATIENCE))
                self.let_it_turn(rondo)
                deaf.reset()
            used = {value(client.get()[0], b"x-app-url") for _ in range(300)}
            self.assertEqual(used, {first.url.encode(), second.url.encode()})
            self.wait_for_line(rondo, f"{name} is up: ")

    @staticmethod
    def answer_to(peer, target, status):
        """Targets are the number of interim answers before a 101; "/" is asked for plainly."""
        if target == b"/":
            peer.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
            return
        for _ in range(int(target[1:])):
            peer.send(b"HTTP/1.1 103 Early Hints\r\nX: " + b"x" * 900000 + b"\r\n\r\n")
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\n" + UPGRADE + b"X: " + b"x" * 1000000 +
                  b"\r\n\r\n")


if __name__ == "__main__":
    raw.main(__doc__)
