#!/usr/bin/env python3
"""usage: test_on_the_wire.py RONDO

Conversations that the varnishtest scripts cannot have: those over TCP, since only there a client has an
address; those in which every byte counts, since varnishtest reads messages and not bytes; and those with
many connections, or with peers that are silent, slow or rude.
"""

import contextlib
import os
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import harness  # noqa: E402

PATIENCE = 20  # seconds for anything at all to happen; a test that needs them has failed
BINARY = ""


class Peer:
    """A socket that is read by the letter."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self.unread = b""

    def send(self, data):
        self.sock.sendall(data)

    def read_until(self, mark):
        while mark not in self.unread:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f"ended after {self.unread[:2000]!r}")
            self.unread += data
        end = self.unread.index(mark) + len(mark)
        read, self.unread = self.unread[:end], self.unread[end:]
        return read

    def read(self, count):
        while len(self.unread) < count:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f"ended after {self.unread[:2000]!r}")
            self.unread += data
        read, self.unread = self.unread[:count], self.unread[count:]
        return read

    def read_head(self):
        return self.read_until(b"\r\n\r\n")

    def read_to_end(self):
        """What comes before the end, or before a reset."""
        try:
            while data := self.sock.recv(65536):
                self.unread += data
        except ConnectionResetError:
            pass
        read, self.unread = self.unread, b""
        return read

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Client(Peer):
    def __init__(self, rondo, address="127.0.0.1"):
        super().__init__(socket.create_connection(("127.0.0.1", rondo.port), PATIENCE, (address, 0)))

    def get(self, target="/", fields=b""):
        self.send(b"GET " + target.encode() + b" HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
        return self.answer()

    def answer(self):
        """The status line and fields of an answer, and its content, which must have a length."""
        head = self.read_head()
        return head, self.read(int(value(head, b"content-length") or 0))


class Backend:
    """Listens, and plays `script(peer, number)` in a thread for each connection, counted from 0."""

    def __init__(self, script, backlog=64):
        self.script = script
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.port = self.listener.getsockname()[1]
        self.faults = []
        self.threads = []
        self.peers = []
        accepting = threading.Thread(target=self._accept, daemon=True)
        accepting.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def _accept(self):
        number = 0
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            peer = Peer(sock)
            self.peers.append(peer)
            thread = threading.Thread(target=self._play, args=(peer, number), daemon=True)
            self.threads.append(thread)
            thread.start()
            number += 1

    def _play(self, peer, number):
        try:
            self.script(peer, number)
        except Exception as fault:  # noqa: BLE001 - shown by the test that owns the backend
            self.faults.append(fault)
        peer.close()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(PATIENCE)


def value(head, name):
    """The value of the first field of that name, or None."""
    for line in head.split(b"\r\n")[1:]:
        key, _, text = line.partition(b":")
        if key.lower() == name:
            return text.strip()
    return None


def serve(peer, _number):
    """Answers with the head it got, for as long as requests come."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            head = peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head) + head)


class Conversation(unittest.TestCase):
    def setUp(self):
        self.backends = []
        self.closing = []

    def tearDown(self):
        for peer in self.closing:
            peer.close()
        for backend in self.backends:
            backend.stop()
            self.assertEqual(backend.faults, [])

    def backend(self, script, **options):
        backend = Backend(script, **options)
        self.backends.append(backend)
        return backend

    @contextlib.contextmanager
    def rondo(self, *backends, settings=(), config=""):
        urls = [backend if isinstance(backend, str) else backend.url for backend in backends]
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(config)
            file.flush()
            rondo = harness.Rondo(BINARY, urls, settings, file.name if config else None)
        with rondo:
            yield rondo
            # A stop gives idle clients a moment; none of these needs it.
            while self.closing:
                self.closing.pop().close()

    def client(self, rondo, address="127.0.0.1"):
        client = Client(rondo, address)
        self.closing.append(client)
        return client

    def wait_for_line(self, rondo, text):
        end = time.monotonic() + PATIENCE
        while not any(text in line for line in rondo.lines):
            self.assertLess(time.monotonic(), end, f"no line with {text!r}:\n{rondo.tail()}")
            rondo.process.poll()
            time.sleep(0.005)


class Forwarding(Conversation):
    """Who the client was, as the backend is told."""

    def test_a_backend_learns_client_scheme_and_host(self):
        with self.rondo(self.backend(serve)) as rondo:
            _, request = self.client(rondo, "127.0.0.2").get()
        self.assertEqual(value(request, b"x-forwarded-for"), b"127.0.0.2")
        self.assertEqual(value(request, b"x-forwarded-proto"), b"http")
        self.assertEqual(value(request, b"x-forwarded-host"), b"a")
        self.assertEqual(value(request, b"via"), b"1.1 rondo")
        self.assertIsNone(value(request, b"forwarded"))

    FORGED = (b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n"
              b"X-Forwarded-Host: evil\r\nForwarded: for=1.2.3.4\r\n")

    def test_what_a_stranger_says_about_itself_is_replaced(self):
        with self.rondo(self.backend(serve)) as rondo:
            _, request = self.client(rondo).get("/", self.FORGED)
        self.assertEqual(request.lower().count(b"x-forwarded-for:"), 1)
        self.assertEqual(value(request, b"x-forwarded-for"), b"127.0.0.1")
        self.assertEqual(value(request, b"x-forwarded-proto"), b"http")
        self.assertEqual(value(request, b"x-forwarded-host"), b"a")
        self.assertNotIn(b"1.2.3.4", request)
        self.assertNotIn(b"evil", request)

    def test_what_a_trusted_proxy_says_is_kept_and_extended(self):
        config = 'headers: { trusted_proxies = ["127.0.0.3", "10.0.0.0/8"]; };\n'
        with self.rondo(self.backend(serve), config=config) as rondo:
            _, request = self.client(rondo, "127.0.0.3").get("/", self.FORGED)
            _, other = self.client(rondo, "127.0.0.4").get("/", self.FORGED)
        self.assertEqual(value(request, b"x-forwarded-for"), b"1.2.3.4, 127.0.0.3")
        self.assertEqual(value(request, b"x-forwarded-proto"), b"https")
        self.assertEqual(value(request, b"x-forwarded-host"), b"evil")
        self.assertEqual(value(other, b"x-forwarded-for"), b"127.0.0.4")

    def test_the_field_of_rfc_7239_can_be_used_instead(self):
        settings = ["headers.forwarded=rfc7239"]
        with self.rondo(self.backend(serve), settings=settings) as rondo:
            _, request = self.client(rondo).get("/", self.FORGED)
        parts = value(request, b"forwarded").lower().replace(b'"', b"").split(b";")
        self.assertEqual({part.strip() for part in parts},
                         {b"for=127.0.0.1", b"host=a", b"proto=http"})
        self.assertNotIn(b"1.2.3.4", request)

    def test_nothing_is_told_when_that_is_wanted(self):
        with self.rondo(self.backend(serve), settings=["headers.forwarded=none"]) as rondo:
            _, request = self.client(rondo).get("/")
        self.assertNotIn(b"forwarded", request.lower())
        self.assertEqual(value(request, b"via"), b"1.1 rondo")


class Bytes(Conversation):
    """What exactly goes over the wire."""

    FIELDS = b"B: 2\r\na: 1\r\nB:\t1 \r\nX-Obs: \xff caf\xe9\r\nX-Empty:\r\nx-mIxEd: \"q\\\"\r\n"
    SAME = b"B: 2\r\na: 1\r\nB: 1\r\nX-Obs: \xff caf\xe9\r\nX-Empty: \r\nx-mIxEd: \"q\\\"\r\n"

    def test_a_request_keeps_order_case_and_repetition_of_its_fields(self):
        with self.rondo(self.backend(serve)) as rondo:
            _, request = self.client(rondo).get("/p%20q?r", self.FIELDS)
        self.assertTrue(request.startswith(b"GET /p%20q?r HTTP/1.1\r\nHost: a\r\n" + self.SAME),
                        request)

    def test_a_response_keeps_order_case_and_repetition_of_its_fields(self):
        def script(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 299 Not quite\r\n" + self.FIELDS + b"Content-Length: 0\r\n\r\n")

        with self.rondo(self.backend(script)) as rondo:
            head, _ = self.client(rondo).get()
        self.assertTrue(head.startswith(b"HTTP/1.1 299 Not quite\r\n"), head)
        self.assertIn(self.SAME, head)

    UPLOAD = (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n%s\r\n"
              b'5;a=b;c="d e"\r\nhello\r\n0006 ; x\r\n world\r\n0;last\r\n%s\r\n')

    def upload(self, fields=b"", trailers=b""):
        """Sends chunked content; returns what the backend got behind the head, and the head."""
        got = []

        def script(peer, _number):
            got.append(peer.read_head())
            got.append(peer.read_until(b"0\r\n\r\n"))
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            # Bytes that come too late to be part of the content would be part of the next request.
            got.append(peer.read_to_end())

        backend = self.backend(script)
        with self.rondo(backend) as rondo:
            client = self.client(rondo)
            client.send(self.UPLOAD % (fields, trailers))
            head, _ = client.answer()
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        backend.threads[0].join(PATIENCE)
        self.assertEqual(got[2], b"")
        return got[1], got[0]

    def assert_chunks(self, raw, content):
        """Plain chunks of that content: no extensions, no trailers."""
        decoded = b""
        while True:
            line, _, raw = raw.partition(b"\r\n")
            self.assertRegex(line, rb"^[0-9A-Fa-f]+$")
            size = int(line, 16)
            if size == 0:
                break
            decoded, raw = decoded + raw[:size], raw[size:]
            self.assertEqual(raw[:2], b"\r\n")
            raw = raw[2:]
        self.assertEqual((decoded, raw), (content, b"\r\n"))

    def test_chunk_extensions_of_a_request_are_dropped(self):
        raw, head = self.upload()
        self.assert_chunks(raw, b"hello world")
        self.assertEqual(value(head, b"transfer-encoding"), b"chunked")

    def test_trailers_of_a_request_are_dropped(self):
        raw, head = self.upload(b"Trailer: X-Sum\r\n", b"X-Sum: 1\r\nContent-Length: 50\r\nHost: evil\r\n")
        self.assert_chunks(raw, b"hello world")
        self.assertIsNone(value(head, b"trailer"))
        self.assertNotIn(b"X-Sum", head)

    def download(self, fields):
        """An answer with trailers; returns its head and all that follows."""
        def script(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                      b"5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\nContent-Length: 7\r\nSet-Cookie: a\r\n"
                      b"Connection: close\r\nx-two: 2\r\n\r\n")

        with self.rondo(self.backend(script)) as rondo:
            client = self.client(rondo)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
            head = client.read_head()
            content = client.read_until(b"0\r\n") + client.read_until(b"\r\n")
            while not content.endswith(b"\r\n\r\n"):
                content += client.read_until(b"\r\n")
        return head, content

    def test_trailers_of_a_response_pass_to_a_client_that_takes_them(self):
        _, content = self.download(b"Connection: TE\r\nTE: trailers\r\n")
        self.assertIn(b"0\r\nX-Sum: 1\r\n", content)
        self.assertIn(b"\r\nx-two: 2\r\n", content)
        self.assertNotIn(b"Content-Length", content)
        self.assertNotIn(b"Connection", content)
        self.assertNotIn(b";", content)

    def test_trailers_of_a_response_are_dropped_for_others(self):
        head, content = self.download(b"")
        self.assert_chunks(content, b"hello")
        self.assertNotIn(b"X-Sum", head)

    def test_a_request_may_come_byte_by_byte(self):
        with self.rondo(self.backend(serve)) as rondo:
            client = self.client(rondo)
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"\r\nGET /slow HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n":
                client.send(bytes([byte]))
            _, request = client.answer()
        self.assertTrue(request.startswith(b"GET /slow HTTP/1.1\r\nHost: a\r\nX-A: b\r\n"))

    def test_a_response_may_come_byte_by_byte(self):
        def script(peer, _number):
            peer.read_head()
            peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n":
                peer.send(bytes([byte]))

        with self.rondo(self.backend(script)) as rondo:
            client = self.client(rondo)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b"200 OK", client.read_head())
            self.assert_chunks(client.read_until(b"0\r\n\r\n"), b"hello")

    def test_many_pipelined_requests_are_answered_in_order(self):
        with self.rondo(self.backend(serve)) as rondo:
            client = self.client(rondo)
            client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(300)))
            for i in range(300):
                _, request = client.answer()
                self.assertTrue(request.startswith(b"GET /%d HTTP/1.1\r\n" % i), request)


class Silence(Conversation):
    """Peers that do nothing, or not enough."""

    def full_listener(self):
        """A listener whose queue is full: connects to it hang."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.closing.append(listener)
        port = listener.getsockname()[1]
        for _ in range(8):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
            self.closing.append(sock)
        return f"http://127.0.0.1:{port}"

    def test_a_backend_that_does_not_connect_in_time_is_left_for_the_next(self):
        silent = self.full_listener()
        settings = ["timeouts.connect=200ms"]
        with self.rondo(silent, self.backend(serve), settings=settings) as rondo:
            client = self.client(rondo)
            client.send(b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            head, request = client.answer()
            self.wait_for_line(rondo, f"backend {silent[7:]} is down: ")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.assertTrue(request.startswith(b"POST /p "), request)

    def test_when_nobody_connects_in_time_the_answer_is_504(self):
        with self.rondo(self.full_listener(), settings=["timeouts.connect=200ms"]) as rondo:
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

    def test_a_client_that_has_said_all_and_half_closes_gets_its_answer(self):
        def script(peer, _number):
            peer.read_head()
            time.sleep(0.1)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        with self.rondo(self.backend(script)) as rondo:
            client = self.client(rondo)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.sock.shutdown(socket.SHUT_WR)
            self.assertTrue(client.read_to_end().endswith(b"\r\n\r\nok"))

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


class Breakage(Conversation):
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
            end = time.monotonic() + PATIENCE
            # One more client, and at most some idle connections to the backend.
            while rondo.descriptors() > before + 22 and time.monotonic() < end:
                time.sleep(0.01)
            self.assertLessEqual(rondo.descriptors(), before + 22)


class Choosing(Conversation):
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


class Health(Conversation):
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
    BINARY = harness.binary_from_arguments(__doc__)
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:], warnings="ignore")
