#!/usr/bin/env python3
"""usage: test_proxy_header.py RONDO

Conversations in which a proxy in front says who the client is before the first byte of it.
"""

import os
import re
import tempfile
import time

import raw
from clients import Client
from proxy_protocol import LOCAL, OVER_TLS, PROXY, SIGNATURE, version_1, version_2
from raw import Rondo, serve, value

GET = b"GET /way HTTP/1.1\r\nHost: a\r\n\r\n"
HOSTILE = (
    (GET, "no PROXY header"),
    (b"\r\n" + GET, "no PROXY header"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "no PROXY header"),
    (b"PROXY TCP4 192.0.2.7 203.0.113.1 12345 443\n" + GET, "a broken PROXY header"),
    (b"PROXY TCP4 192.0.2.7 203.0.113.1 12345\r\n" + GET, "a broken PROXY header"),
    (b"PROXY TCP4 localhost 203.0.113.1 12345 443\r\n" + GET, "a broken PROXY header"),
    (b"PROXY UNKNOWN " + b"a" * 100 + b"\r\n" + GET, "a PROXY header over 107 bytes"),
    (version_2(tlvs=[(4, b"a" * 510)]) + GET, "a PROXY header over 536 bytes"),
    (SIGNATURE + b"\x21\x12\x00\x0c" + b"a" * 12 + GET, "a PROXY header for datagrams"),
    (SIGNATURE + b"\x21\x11\x00\x0b" + b"a" * 12 + GET, "a broken PROXY header"),
    (SIGNATURE + b"\x31\x11\x00\x0c" + b"a" * 12 + GET, "a PROXY header of an unknown version"),
    (version_2(tlvs=[(3, b"abcd")]) + GET, "a PROXY header whose checksum does not fit"),
)


class Listening(raw.Conversation):
    def setUp(self):
        super().setUp()
        self.files = tempfile.TemporaryDirectory()
        self.log = os.path.join(self.files.name, "access.log")

    def tearDown(self):
        super().tearDown()
        self.files.cleanup()

    def listening(self, *backends, address="127.0.0.1:0", members='proxy_from = [ "127.0.0.1" ];', settings=()):
        path = os.path.join(self.files.name, "rondo.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'listen = {{ address = "{address}"; {members} }};\n')
        settings = [f"log.access={self.log}", *settings]
        return Rondo(self.binary, backends or [self.backend(serve)], settings, path, listen=None)

    def ask(self, to, header, request=GET):
        """What the backend saw."""
        with Client(to) as client:
            client.send(header + request)
            return client.answer()[1]


class Introduced(Listening):
    def test_the_client_that_the_header_names_is_the_client(self):
        with self.listening() as rondo:
            for header, client in ((version_1(), b"192.0.2.7"), (version_2(), b"192.0.2.7"),
                                   (version_2(checksum=True), b"192.0.2.7"),
                                   (version_1("2001:db8::7", "2001:db8::1"), b"2001:db8::7"),
                                   (version_2("2001:db8::7", "2001:db8::1", tlvs=[(1, b"h2")]), b"2001:db8::7"),
                                   (version_2("::ffff:192.0.2.7", "::1"), b"192.0.2.7")):
                seen = self.ask(rondo, header)
                self.assertEqual(value(seen, b"x-forwarded-for"), client, header)
                self.assertEqual(value(seen, b"x-forwarded-proto"), b"http")
        with open(self.log, encoding="utf-8") as lines:
            clients = [line.split()[0] for line in lines]
        self.assertEqual(clients, ["192.0.2.7"] * 3 + ["2001:db8::7"] * 2 + ["192.0.2.7"])

    def test_it_holds_for_every_request_of_the_connection_and_is_not_read_twice(self):
        with self.listening() as rondo, Client(rondo) as client:
            client.send(version_2() + GET + GET)
            for _ in range(2):
                self.assertEqual(value(client.answer()[1], b"x-forwarded-for"), b"192.0.2.7")
            client.send(GET)
            self.assertEqual(value(client.answer()[1], b"x-forwarded-for"), b"192.0.2.7")
            client.send(version_1("192.0.2.8") + GET)
            self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 400 "))

    def test_it_may_come_in_pieces_cut_anywhere(self):
        with self.listening() as rondo:
            for header in (version_1(), version_2(tlvs=[OVER_TLS], checksum=True)):
                for cut in range(1, len(header) + 1):
                    with Client(rondo) as client:
                        client.send(header[:cut])
                        # When another client has its answer, rondo has read these bytes.
                        self.ask(rondo, header)
                        client.send(header[cut:] + GET)
                        self.assertEqual(value(client.answer()[1], b"x-forwarded-for"), b"192.0.2.7", (header, cut))

    def test_without_a_client_it_is_the_connections_own_peer(self):
        with self.listening() as rondo:
            for header in (b"PROXY UNKNOWN\r\n", version_2(None), version_2(None, command=LOCAL),
                           version_2(command=LOCAL), SIGNATURE + b"\x21\x31\x00\xd8" + b"\0" * 216):
                self.assertEqual(value(self.ask(rondo, header), b"x-forwarded-for"), b"127.0.0.1", header)

    def test_whatever_else_comes_is_closed_unread_and_named(self):
        backend = self.backend(serve)
        with self.listening(backend) as rondo:
            for bytes_sent, why in HOSTILE:
                before = len(rondo.lines)
                with Client(rondo) as client:
                    client.send(bytes_sent)
                    rondo.wait_log(rf"connection from 127\.0\.0\.1 closed: {re.escape(why)}$", before)
                    try:
                        self.assertEqual(client.recv(1), b"", bytes_sent)
                    except ConnectionResetError:
                        pass
            self.assertEqual(backend.peers, [])
            self.assertEqual(rondo.count_log("closed:"), len(HOSTILE))
            # A look at the port is nobody's fault.
            Client(rondo).close()
            before = len(rondo.lines)
            with Client(rondo) as client:
                client.send(version_2()[:20])
                client.shutdown(1)
                self.assertEqual(client.recv(1), b"")
            rondo.wait_log("closed: a PROXY header that was cut off", before)
            self.assertEqual(rondo.count_log("closed:"), len(HOSTILE) + 1)
        self.assertFalse(os.path.getsize(self.log))

    def test_it_must_be_there_within_the_time_for_a_request_head(self):
        with self.listening(settings=["timeouts.request_head=300ms"]) as rondo:
            for some in (b"", version_2()[:20]):
                before, began = len(rondo.lines), time.monotonic()
                with Client(rondo) as client:
                    client.send(some)
                    self.assertEqual(client.recv(1), b"")
                    self.assertGreaterEqual(time.monotonic() - began, 0.3)
                    rondo.wait_log(r"closed: no PROXY header within timeouts\.request_head", before)
            # After it the client may take its time.
            with Client(rondo) as client:
                client.send(version_2())
                with Client(rondo) as other:
                    self.assertEqual(other.recv(1), b"")
                client.send(GET)
                self.assertEqual(value(client.answer()[1], b"x-forwarded-for"), b"192.0.2.7")

    def test_nobody_else_may_connect(self):
        backend = self.backend(serve)
        with self.listening(backend, members='proxy_from = [ "192.0.2.0/24", "127.0.0.2" ];') as rondo:
            for bytes_sent in (version_2() + GET, GET):
                before = len(rondo.lines)
                client = Client(rondo)
                try:
                    client.send(bytes_sent)
                    self.assertEqual(client.recv(1), b"")
                except (ConnectionResetError, BrokenPipeError):
                    pass
                client.close()
                rondo.wait_log(
                    rf"connection from 127\.0\.0\.1 closed: it is not in proxy_from of 127\.0\.0\.1:{rondo.port}$", before)
            self.assertEqual(backend.peers, [])
            with Client(rondo, "127.0.0.2") as client:
                client.send(version_2() + GET)
                self.assertEqual(value(client.answer()[1], b"x-forwarded-for"), b"192.0.2.7")

    def test_trust_is_in_the_client_that_it_names(self):
        forwarded = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
        with self.listening(settings=["headers.trusted_proxies=192.0.2.0/24"]) as rondo:
            seen = self.ask(rondo, version_2(), forwarded)
            self.assertEqual(value(seen, b"x-forwarded-for"), b"198.51.100.1, 192.0.2.7")
            seen = self.ask(rondo, version_2("203.0.113.9"), forwarded)
            self.assertEqual(value(seen, b"x-forwarded-for"), b"203.0.113.9")
        # Whoever is trusted to name clients is not trusted to be one.
        with self.listening(settings=["headers.trusted_proxies=127.0.0.1"]) as rondo:
            self.assertEqual(value(self.ask(rondo, version_2(), forwarded), b"x-forwarded-for"), b"192.0.2.7")
            self.assertEqual(value(self.ask(rondo, version_2(None), forwarded), b"x-forwarded-for"),
                             b"198.51.100.1, 127.0.0.1")

    def test_the_scheme_is_that_of_the_client_at_the_proxy(self):
        over_tls = version_2(tlvs=[OVER_TLS])
        with self.listening() as rondo:
            for header, scheme in ((over_tls, b"https"), (version_2(), b"http"), (version_2(tlvs=[(0x20, b"\0" * 5)]), b"http"),
                                   (version_2(command=LOCAL, tlvs=[OVER_TLS]), b"http")):
                self.assertEqual(value(self.ask(rondo, header), b"x-forwarded-proto"), scheme, header)
        with self.listening(settings=["headers.forwarded=rfc7239"]) as rondo:
            self.assertEqual(value(self.ask(rondo, over_tls), b"forwarded"), b'for=192.0.2.7;host="a";proto=https')


class Schemes(Listening):
    def test_an_address_has_a_scheme(self):
        absolute = b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"
        lying = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: http\r\n\r\n"
        # An absolute target is the client's word.
        with self.listening(members='scheme = "http";') as rondo:
            for target in (b"http://a/", b"https://a/"):
                seen = self.ask(rondo, b"", absolute.replace(b"http://a/", target))
                self.assertEqual(value(seen, b"x-forwarded-proto"), b"http")
        with self.listening(members='scheme = "https";') as rondo:
            for request in (GET, absolute, lying):
                self.assertEqual(value(self.ask(rondo, b"", request), b"x-forwarded-proto"), b"https")
        with self.listening(members='scheme = "https";', settings=["headers.trusted_proxies=127.0.0.1"]) as rondo:
            self.assertEqual(value(self.ask(rondo, b"", lying), b"x-forwarded-proto"), b"http")
            self.assertEqual(value(self.ask(rondo, b"", GET), b"x-forwarded-proto"), b"https")


class UnixSockets(Listening):
    def test_whoever_can_connect_to_a_unix_socket_may_name_the_client(self):
        path = os.path.join(self.files.name, "rondo.sock")
        with self.listening(address=f"unix:{path}", members='proxy_from = [ "unix:" ]; mode = "0600";') as rondo:
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            self.assertEqual(value(self.ask(path, version_2(tlvs=[OVER_TLS])), b"x-forwarded-for"), b"192.0.2.7")
            self.assertIsNone(value(self.ask(path, version_2(None, command=PROXY)), b"x-forwarded-for"))
            with Client(path) as client:
                client.send(GET)
                rondo.wait_log("connection from unix: closed: no PROXY header$")


if __name__ == "__main__":
    raw.main(__doc__)
