#!/usr/bin/env python3
"""usage: test_bytes.py RONDO

Conversations in which every byte counts: varnishtest reads messages, and only over TCP a client has an
address that a backend can be told.
"""

import json
import socket
import tempfile

import raw
from raw import PATIENCE, serve, value


class Forwarding(raw.Conversation):
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

    def test_several_fields_of_a_trusted_proxy_are_one_list(self):
        config = 'headers: { trusted_proxies = ["127.0.0.0/8"]; };\n'
        fields = b"X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-For: 3.3.3.3\r\n"
        with self.rondo(self.backend(serve), config=config) as rondo:
            _, request = self.client(rondo).get("/", fields)
        every = b", ".join(line.partition(b":")[2].strip() for line in request.split(b"\r\n")
                           if line.lower().startswith(b"x-forwarded-for:"))
        self.assertEqual(every, b"1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1")

    def test_via_is_extended(self):
        with self.rondo(self.backend(serve)) as rondo:
            _, request = self.client(rondo).get("/", b"Via: 1.0 fred\r\n")
        every = b", ".join(line.partition(b":")[2].strip() for line in request.split(b"\r\n")
                           if line.lower().startswith(b"via:"))
        self.assertEqual(every, b"1.0 fred, 1.1 rondo")

    def test_the_field_of_rfc_7239_can_be_used_instead(self):
        settings = ["headers.forwarded=rfc7239"]
        with self.rondo(self.backend(serve), settings=settings) as rondo:
            _, request = self.client(rondo).get("/", self.FORGED)
        parts = value(request, b"forwarded").lower().replace(b'"', b"").split(b";")
        self.assertEqual({part.strip() for part in parts},
                         {b"for=127.0.0.1", b"host=a", b"proto=http"})
        self.assertNotIn(b"1.2.3.4", request)

    def test_a_chain_of_rfc_7239_is_extended_by_a_client_of_ipv6(self):
        config = 'headers: { forwarded = "rfc7239"; trusted_proxies = ["::1"]; };\n'
        with self.rondo(self.backend(serve), config=config, listen="[::1]:0") as rondo:
            _, request = self.client(rondo, "::1").get("/", self.FORGED)
        self.assertEqual(value(request, b"forwarded"),
                         b'for=1.2.3.4, for="[::1]";host="a";proto=http')

    def test_nothing_is_told_when_that_is_wanted(self):
        with self.rondo(self.backend(serve), settings=["headers.forwarded=none"]) as rondo:
            _, request = self.client(rondo).get("/")
        self.assertNotIn(b"forwarded", request.lower())
        self.assertEqual(value(request, b"via"), b"1.1 rondo")


class RequestIds(raw.Conversation):
    """By what a request is known to client, backend and log."""

    TAKEN = (b"mine", b"123e4567-e89b-12d3-a456-426614174000", b"x" * 128)
    NOT_TAKEN = (b"", b"x" * 129)

    def test_everybody_knows_a_request_by_the_same_id(self):
        with tempfile.NamedTemporaryFile() as log:
            settings = ["headers.request_id=X-Request-Id", f"log.access={log.name}"]
            told = []
            with self.rondo(self.backend(serve), settings=settings) as rondo:
                client = self.client(rondo)
                for theirs in self.TAKEN + self.NOT_TAKEN:
                    head, request = client.get("/", b"X-Request-Id: " + theirs + b"\r\n")
                    self.assertEqual(request.lower().count(b"x-request-id:"), 1)
                    self.assertEqual(value(head, b"x-request-id"), value(request, b"x-request-id"))
                    told.append(value(request, b"x-request-id"))
            logged = [line.rpartition(b" id=")[2] for line in log.read().splitlines()]
        self.assertEqual(logged, told)
        self.assertEqual(told[:len(self.TAKEN)], list(self.TAKEN))
        for made in told[len(self.TAKEN):]:
            self.assertRegex(made, b"^[0-9a-f]{32}$")


class OwnAnswers(raw.Conversation):
    """What rondo says of a request, and what the access log tells of that."""

    HOST = b" HTTP/1.1\r\nHost: a\r\n"
    REFUSED = {
        b"400": b"GET /" + HOST + b"X Y: 1\r\n\r\n",
        b"405": b"TRACE /" + HOST + b"\r\n",
        b"408": b"GET /" + HOST,
        b"413": b"PUT /" + HOST + b"Content-Length: 2000\r\n\r\n",
        b"414": b"GET /" + b"y" * 9000 + HOST + b"\r\n",
        b"417": b"GET /" + HOST + b"Expect: x\r\n\r\n",
        b"431": b"GET /" + HOST + b"X: " + b"y" * 20000 + b"\r\n\r\n",
        b"501": b"F" * 257 + b" /" + HOST + b"\r\n",
        b"505": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    }

    def test_every_refusal_says_in_registered_words_that_the_request_is_to_blame(self):
        settings = ["timeouts.request_head=100ms", "limits.body_bytes=1k"]
        with self.rondo(self.backend(serve), settings=settings) as rondo:
            for status, request in self.REFUSED.items():
                with self.subTest(status=status):
                    client = self.client(rondo)
                    client.send(request)
                    head, content = client.answer()
                    error = b"http_request_denied" if status == b"405" else b"http_request_error"
                    self.assertTrue(head.startswith(b"HTTP/1.1 " + status + b" "), head)
                    self.assertEqual(value(head, b"proxy-status"), b"rondo; error=" + error)
                    self.assertEqual(value(head, b"content-type"), b"application/problem+json")
                    problem = json.loads(content)
                    self.assertEqual(set(problem), {"status", "title", "detail"})
                    self.assertEqual(problem["status"], int(status))

    def test_a_head_that_is_refused_gets_no_content_where_it_shows_that_it_is_one(self):
        refused = {status: request[3:] for status, request in self.REFUSED.items()
                   if request.startswith(b"GET ")}
        settings = ["timeouts.request_head=100ms"]
        with self.rondo(self.backend(serve), settings=settings) as rondo:
            for status, rest in refused.items():
                for method in (b"HEAD", b"GET"):
                    with self.subTest(status=status, method=method):
                        client = self.client(rondo)
                        client.send(b"\r\n" + method + rest)
                        head = client.read_head()
                        self.assertTrue(head.startswith(b"HTTP/1.1 " + status), head)
                        length = 0 if method == b"HEAD" else int(value(head, b"content-length"))
                        client.sock.shutdown(socket.SHUT_WR)
                        self.assertEqual(len(client.read_to_end()), length)

    def test_the_log_tells_how_long_they_were_and_why_they_were_sent(self):
        requests = {
            b"GET": b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n",
            b"HEAD": b"HEAD / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n",
            b"POST": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
            b"OPTIONS": b"OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        }
        told = {}
        with tempfile.NamedTemporaryFile() as log:
            settings = [f"log.access={log.name}", "timeouts.request_body=100ms"]
            patient = self.backend(lambda peer, _number: peer.read_to_end())
            with self.rondo(patient, settings=settings) as rondo:
                for method, request in requests.items():
                    client = self.client(rondo)
                    client.send(request)
                    head = client.read_head()
                    client.sock.shutdown(socket.SHUT_WR)
                    told[method] = head[9:12], len(client.read_to_end())
            lines = log.read().splitlines()
        logged = {}
        for line in lines:
            _, request, numbers = line.split(b'"')[:3]
            status, size = numbers.split()
            logged[request.split()[0]] = status, int(size)
        self.assertEqual(logged, told)
        self.assertEqual([status for status, _ in told.values()], [b"417", b"417", b"408", b"200"])
        self.assertGreater(told[b"GET"][1], 0)
        ends = [line.partition(b" end=")[2].split()[0] for line in lines]
        self.assertEqual(ends, [b"limit", b"limit", b"timeout", b"ok"])


class Bytes(raw.Conversation):
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
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Host\r\n"
                      b"Connection: X-Hop\r\n\r\n"
                      b"5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\nContent-Length: 7\r\nSet-Cookie: a\r\n"
                      b"Connection: close\r\nX-App-Url: evil\r\nx-hop: evil\r\nx-two: 2\r\n\r\n")

        with self.rondo(self.backend(script)) as rondo:
            client = self.client(rondo)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
            head = client.read_head()
            content = client.read_until(b"0\r\n") + client.read_until(b"\r\n")
            while not content.endswith(b"\r\n\r\n"):
                content += client.read_until(b"\r\n")
        return head, content

    def test_trailers_of_a_response_pass_to_a_client_that_takes_them(self):
        for fields in (b"Connection: TE\r\nTE: trailers\r\n", b"TE: trailers\r\n"):
            with self.subTest(fields=fields):
                self.assert_trailers_pass(fields)

    def assert_trailers_pass(self, fields):
        head, content = self.download(fields)
        self.assertEqual(value(head, b"trailer"), b"X-Sum")
        self.assertNotIn(b"evil", content)
        self.assertIn(b"0\r\nX-Sum: 1\r\n", content)
        self.assertIn(b"\r\nx-two: 2\r\n", content)
        self.assertNotIn(b"Content-Length", content)
        self.assertNotIn(b"Connection", content)
        self.assertNotIn(b";", content)

    def test_trailers_of_a_response_are_dropped_for_others(self):
        head, content = self.download(b"")
        self.assert_chunks(content, b"hello")
        self.assertNotIn(b"X-Sum", head)
        self.assertIsNone(value(head, b"trailer"))

    def test_an_interim_answer_does_not_say_which_backend_it_is_from(self):
        def script(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n"
                      b"X-App-Url: evil\r\nX-Id: evil\r\n\r\n"
                      b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        settings = ["headers.request_id=x-id"]
        with self.rondo(self.backend(script), settings=settings) as rondo:
            client = self.client(rondo)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.read_head(),
                             b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            self.assertIsNotNone(value(client.read_head(), b"x-app-url"))

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

    def test_as_many_fields_as_the_limit_pass(self):
        with self.rondo(self.backend(serve)) as rondo:
            head, request = self.client(rondo).get("/", b"X: y\r\n" * 99)
            other, _ = self.client(rondo).get("/", b"X: y\r\n" * 100)
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.assertEqual(request.count(b"X: y\r\n"), 99)
        self.assertTrue(other.startswith(b"HTTP/1.1 431 "), other)

    def test_many_pipelined_requests_are_answered_in_order(self):
        with self.rondo(self.backend(serve)) as rondo:
            client = self.client(rondo)
            client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(300)))
            for i in range(300):
                _, request = client.answer()
                self.assertTrue(request.startswith(b"GET /%d HTTP/1.1\r\n" % i), request)


if __name__ == "__main__":
    raw.main(__doc__)
