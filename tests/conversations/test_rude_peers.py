#!/usr/bin/env python3
"""usage: test_rude_peers.py RONDO

Conversations with peers that are silent, slow, sick or rude, and with more of them than a varnishtest
script can have.
"""

import contextlib
import socket
import tempfile
import threading
import time

import raw
from raw import PATIENCE, Client, serve, value


class Silence(raw.Conversation):
    """Peers that do nothing, or not enough."""

    def test_a_backend_that_does_not_connect_in_time_is_left_for_the_next(self):
        silent = self.full_backend()
        settings = ["timeouts.connect=200ms"]
        with self.rondo(silent, self.backend(serve), settings=settings) as rondo:
            client = self.client(rondo)
            client.send(b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            head, request = client.answer()
            self.wait_for_line(rondo, f"backend {silent.name} is down: ")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.assertTrue(request.startswith(b"POST /p "), request)

    def test_when_nobody_connects_in_time_the_answer_is_504(self):
        with self.rondo(self.full_backend(), settings=["timeouts.connect=200ms"]) as rondo:
            head, _ = self.client(rondo).get()
        self.assertTrue(head.startswith(b"HTTP/1.1 504 "), head)
        self.assertEqual(value(head, b"proxy-status"), b"rondo; error=connection_timeout")

    def test_a_client_that_takes_no_bytes_is_cut_off_and_costs_little_memory(self):
        ended = threading.Event()

        def script(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            try:
                for _ in range(10000):
                    peer.send(b"x" * 100000)
            except OSError:
                ended.set()

        with self.rondo(self.backend(script), settings=["timeouts.send=500ms"]) as rondo:
            before = rondo.memory_kib()
            client = self.client(rondo)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(ended.wait(PATIENCE))
            self.assertLess(rondo.memory_kib() - before, 4096)
            self.assertLess(len(client.read_to_end()), 1000000000)

    def test_a_backend_that_takes_no_bytes_is_given_up(self):
        over = threading.Event()

        def script(_peer, _number):
            over.wait(PATIENCE)

        with self.rondo(self.backend(script), settings=["timeouts.send=300ms"]) as rondo:
            client = self.client(rondo)
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
            threading.Thread(target=self.pour, args=(client,), daemon=True).start()
            head, _ = client.answer()
            over.set()
        self.assertTrue(head.startswith(b"HTTP/1.1 504 "), head)

    @staticmethod
    def pour(client):
        try:
            for _ in range(1000):
                client.send(b"x" * 100000)
        except OSError:
            pass

    def test_where_clients_may_one_that_has_said_all_and_half_closes_gets_its_answer(self):
        def script(peer, _number):
            peer.read_head()
            time.sleep(0.1)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        with self.rondo(self.backend(script), settings=["clients.half_close=true"]) as rondo:
            client = self.client(rondo)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.sock.shutdown(socket.SHUT_WR)
            self.assertTrue(client.read_to_end().endswith(b"\r\n\r\nok"))

    def test_empty_lines_after_a_request_do_not_begin_another(self):
        """Who sends nothing else is an idle client: it is not told that a head did not come in time."""
        settings = ["timeouts.request_head=100ms", "timeouts.keep_alive=400ms"]
        for empty in (b"\r", b"\r\n", b"\r\n\r", b"\r\n\r\n"):
            with self.subTest(empty=empty), tempfile.NamedTemporaryFile() as log:
                with self.rondo(self.backend(serve),
                                settings=[*settings, f"log.access={log.name}"]) as rondo:
                    idle, slow = self.client(rondo), self.client(rondo)
                    idle.get()
                    idle.send(empty)
                    slow.send(b"\r\nG")
                    self.assertTrue(slow.read_head().startswith(b"HTTP/1.1 408 "))
                    self.assertEqual(idle.read_to_end(), b"")
                statuses = sorted(line.split(b'" ')[1][:3] for line in log.read().splitlines())
                self.assertEqual(statuses, [b"200", b"408"])

    def test_a_request_may_follow_empty_lines_of_an_idle_client(self):
        for empty in (b"\r", b"\r\n", b"\r\n\r", b"\r\n\r\n"):
            with self.subTest(empty=empty), self.rondo(self.backend(serve)) as rondo:
                client = self.client(rondo)
                client.get()
                client.send(empty)
                self.let_it_turn(rondo)
                client.send(b"\n"[:len(empty) % 2])
                head, _ = client.get()
                self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
                client.send(b"\r\n\r\n")
                self.let_it_turn(rondo)
                client.send(b"\r\n")
                self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 400 "))

    def test_either_end_of_a_tunnel_can_half_close(self):
        for first in ("client", "backend"):
            with self.subTest(first=first):
                self.half_close_tunnel(first)

    def half_close_tunnel(self, first):
        heard = []

        def script(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                      b"Upgrade: websocket\r\n\r\n")
            if first == "client":
                heard.append(peer.read_to_end())
                peer.send(b"from the backend")
            else:
                peer.send(b"from the backend")
                peer.sock.shutdown(socket.SHUT_WR)
                heard.append(peer.read_to_end())

        with self.rondo(self.backend(script)) as rondo:
            client = self.client(rondo)
            client.send(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            self.assertTrue(client.read_head().startswith(b"HTTP/1.1 101 "))
            if first == "client":
                client.send(b"from the client")
                client.sock.shutdown(socket.SHUT_WR)
                self.assertEqual(client.read_to_end(), b"from the backend")
            else:
                self.assertEqual(client.read_to_end(), b"from the backend")
                client.send(b"from the client")
                client.close()
            self.backends[-1].threads[0].join(PATIENCE)
        self.assertEqual(heard, [b"from the client"])

    def test_an_error_answer_reaches_a_client_that_still_sends(self):
        settings = ["limits.body_bytes=1k"]
        with self.rondo(self.backend(serve), settings=settings) as rondo:
            client = self.client(rondo)
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n")
            for _ in range(30):
                client.send(b"x" * 100000)
            answer = client.read_to_end()
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer[:200])
        self.assertTrue(answer.endswith(b"}") or answer.endswith(b"}\n"), answer[-200:])


    def test_a_client_that_does_not_close_after_its_last_answer_is_closed_after_two_seconds(self):
        with self.rondo(self.backend(serve)) as rondo:
            before = rondo.descriptors()
            client = self.client(rondo)
            began = time.monotonic()
            client.send(b"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            client.answer()
            self.assertEqual(client.read_to_end(), b"")
            self.wait_for_descriptors(rondo, before)
            self.assertGreaterEqual(time.monotonic() - began, 2)


class Breakage(raw.Conversation):
    """Peers that reset."""

    def test_a_backend_that_resets_is_left_for_the_next(self):
        def script(peer, _number):
            peer.read_head()
            peer.reset()

        first, second = self.backend(script), self.backend(serve)
        with self.rondo(first, second) as rondo:
            head, _ = self.client(rondo).get()
            self.wait_for_line(rondo, f"backend 127.0.0.1:{first.port} is down: ")
        self.assertEqual(value(head, b"x-app-url"), second.url.encode())

    def test_content_that_is_broken_when_it_comes_falls_through(self):
        """As far as it is there with its head, whatever the size of the reads."""
        def breaks(peer, number):
            with contextlib.suppress(EOFError):
                while True:
                    peer.read_head()
                    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                              b"%x\r\n" % size + size * b"x" + b"\r\nzz\r\n")

        for size in (100, 5000, 20000):
            with self.subTest(size=size):
                first = self.backend(breaks, is_local=True)
                with self.rondo(first, self.backend(serve)) as rondo:
                    client = self.client(rondo)
                    for _ in range(2):
                        head, _ = client.get()
                        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
                        self.assertIsNotNone(value(head, b"content-length"))
                    self.wait_for_line(rondo, " is down: ")

    def test_a_response_that_is_reset_is_not_made_whole(self):
        def script(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
            time.sleep(0.1)
            peer.reset()

        with self.rondo(self.backend(script)) as rondo:
            client = self.client(rondo)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = client.read_to_end()
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        self.assertNotIn(b"\r\n0\r\n", answer)

    def test_a_tunnel_ends_when_one_that_has_ended_its_side_resets(self):
        for first in ("client", "backend"):
            with self.subTest(first=first):
                self.reset_half_closed_tunnel(first)

    def reset_half_closed_tunnel(self, first):
        is_told, is_over = threading.Event(), threading.Event()

        def script(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                      b"Upgrade: websocket\r\n\r\n")
            if first == "backend":
                peer.sock.shutdown(socket.SHUT_WR)
                is_told.wait(PATIENCE)
                peer.reset()
            else:
                peer.read_to_end()
                is_told.set()
            is_over.wait(2 * PATIENCE)  # its end would end the tunnel, too

        with self.rondo(self.backend(script)) as rondo:
            client = self.client(rondo)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n"
                        b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            client.read_head()
            with_tunnel = rondo.descriptors()
            if first == "client":
                client.sock.shutdown(socket.SHUT_WR)
                self.assertTrue(is_told.wait(PATIENCE))
                client.reset()
            else:
                self.assertEqual(client.read_to_end(), b"")
                is_told.set()
            self.wait_for_descriptors(rondo, with_tunnel - 2)
            is_over.set()

    def test_clients_that_reset_leave_nothing_behind(self):
        with self.rondo(self.backend(serve)) as rondo:
            self.client(rondo).get()
            before = rondo.descriptors()
            for bytes_sent in (b"", b"GET /", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhe",
                               b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
                for _ in range(20):
                    client = Client(rondo)
                    client.send(bytes_sent)
                    client.reset()
            head, _ = self.client(rondo).get()
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
            # One more client, and at most some idle connections to the backend.
            self.wait_for_descriptors(rondo, before + 22)


class Choosing(raw.Conversation):
    def test_a_name_with_several_addresses_is_one_backend(self):
        """localhost is ::1 and 127.0.0.1 on most machines; the backend listens on the latter only."""
        backend = self.backend(serve)
        with self.rondo(f"http://localhost:{backend.port}") as rondo:
            for _ in range(3):
                head, _ = self.client(rondo).get()
                self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
                self.assertEqual(value(head, b"x-app-url"),
                                 f"http://localhost:{backend.port}".encode())
            self.assertFalse(any(" is down" in line for line in rondo.lines), rondo.tail())

    def test_a_name_that_does_not_resolve_does_not_stop_the_others(self):
        with self.rondo("http://no-such-host.invalid:80", self.backend(serve)) as rondo:
            for _ in range(3):
                head, _ = self.client(rondo).get()
                self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)

    def test_where_no_backend_is_known_the_answer_is_503(self):
        with self.rondo("http://no-such-host.invalid:80") as rondo:
            head, _ = self.client(rondo).get()
        self.assertTrue(head.startswith(b"HTTP/1.1 503 "), head)
        self.assertIsNotNone(value(head, b"retry-after"))
        self.assertTrue(value(head, b"proxy-status").startswith(b"rondo; error="), head)

    def test_at_the_limit_of_connections_a_client_waits_and_is_not_refused(self):
        with self.rondo(self.backend(serve), settings=["limits.connections=2"]) as rondo:
            first, second = self.client(rondo), self.client(rondo)
            first.get()
            second.get()
            third = self.client(rondo)
            third.send(b"GET /third HTTP/1.1\r\nHost: a\r\n\r\n")
            third.sock.settimeout(0.3)
            with self.assertRaises(TimeoutError):
                third.read(1)
            third.sock.settimeout(PATIENCE)
            first.close()
            _, request = third.answer()
        self.assertTrue(request.startswith(b"GET /third "), request)

    def test_retries_end_where_the_budget_does(self):
        """Both fail, so nobody is blamed. Ten retries a second are free, counted over ten seconds."""
        def failing(peer, _number):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    peer.read_head()
                    peer.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

        backends = [self.backend(failing), self.backend(failing)]
        settings = ["retry.budget=0", "headers.attempts=x-attempts"]
        with self.rondo(*backends, settings=settings) as rondo:
            client = self.client(rondo)
            tries = [len(value(client.get()[0], b"x-attempts").split()) for _ in range(150)]
        self.assertEqual(tries[:100], [2] * 100)
        self.assertIn(1, tries[100:])


class Health(raw.Conversation):
    """Periodic checks of a path."""

    def test_failing_checks_take_a_backend_down_and_good_ones_bring_it_back(self):
        sick = threading.Event()
        checks = []

        def script(peer, _number):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    status = 200
                    if peer.read_head().startswith(b"GET /healthz HTTP/1.1\r\n"):
                        checks.append(sick.is_set())
                        status = 503 if sick.is_set() else 204
                    peer.send(b"HTTP/1.1 %d X\r\n%s\r\n" %
                              (status, b"" if status == 204 else b"Content-Length: 0\r\n"))

        first, second = self.backend(script), self.backend(script)
        settings = ["health.path=/healthz", "health.interval=100ms", "health.fall=3", "health.rise=2"]
        name = f"backend 127.0.0.1:{first.port}"
        with self.rondo(first, second, settings=settings) as rondo:
            head, _ = self.client(rondo).get()
            self.assertEqual(value(head, b"x-app-url"), first.url.encode())
            sick.set()
            self.wait_for_line(rondo, f"{name} is down: ")
            self.wait_for_line(rondo, f"backend 127.0.0.1:{second.port} is down: ")
            self.assertGreaterEqual(checks.count(True), 6)
            sick.clear()
            self.wait_for_line(rondo, f"{name} is up: ")
            self.wait_for_line(rondo, f"backend 127.0.0.1:{second.port} is up: ")
            used = {value(self.client(rondo).get()[0], b"x-app-url") for _ in range(2)}
            self.assertEqual(used, {first.url.encode(), second.url.encode()})


if __name__ == "__main__":
    raw.main(__doc__)
