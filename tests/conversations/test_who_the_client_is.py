#!/usr/bin/env python3
"""usage: test_who_the_client_is.py RONDO

Conversations in which proxies in front, which are trusted or not, say who the client is.
"""

import json
import os
import tempfile

import raw
from clients import Client, request
from peer import parse_head
from proxy_protocol import version_2
from raw import Rondo, serve

TRUSTED = "headers.trusted_proxies=127.0.0.1,192.0.2.0/24,unix:"


class Clients(raw.Conversation):
    def setUp(self):
        super().setUp()
        self.files = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.files.name, "rondo.sock")
        self.log = os.path.join(self.files.name, "access.log")

    def tearDown(self):
        super().tearDown()
        self.files.cleanup()

    def start(self, *settings, members="", log_format="json"):
        listen = f'listen = ( {{ address = "127.0.0.1:0"; {members} }}, "unix:{self.path}" );\n'
        config = os.path.join(self.files.name, "rondo.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(listen)
        settings = [f"log.access={self.log}", f"log.format={log_format}", *settings]
        return Rondo(self.binary, [self.backend(serve)], settings, config, listen=None)

    def ask(self, to, fields="", header=b""):
        """The fields that the backend saw."""
        with Client(to) as client:
            client.send(header + request("/", fields=fields))
            return parse_head(client.answer()[1])[1]

    def logged(self):
        """Client and peer of each request."""
        with open(self.log, encoding="utf-8") as lines:
            return [(line["client"], line.get("peer")) for line in map(json.loads, lines)]

    def test_the_log_names_the_rightmost_address_that_is_not_trusted(self):
        with self.start(TRUSTED) as rondo:
            for chain in ("203.0.113.9", "198.51.100.1, 203.0.113.9, 192.0.2.1", "192.0.2.5, 192.0.2.1", "unknown", ""):
                self.ask(rondo, f"X-Forwarded-For: {chain}\r\nForwarded: for=198.51.100.2\r\n")
            self.ask(rondo)
        self.assertEqual(self.logged(), [("203.0.113.9", "127.0.0.1")] * 2 + [("192.0.2.5", "127.0.0.1")] +
                         [("127.0.0.1", None)] * 3)

    def test_what_others_say_is_not_looked_at(self):
        with self.start("headers.trusted_proxies=192.0.2.0/24") as rondo:
            self.ask(rondo, "X-Forwarded-For: 203.0.113.9\r\n")
        self.assertEqual(self.logged(), [("127.0.0.1", None)])

    def test_the_field_is_the_one_that_is_configured(self):
        with self.start(TRUSTED, "headers.forwarded=rfc7239") as rondo:
            self.ask(rondo, 'X-Forwarded-For: 198.51.100.1\r\nForwarded: for="[2001:db8::7]:80";proto=https, for=192.0.2.1\r\n')
        self.assertEqual(self.logged(), [("2001:db8::7", "127.0.0.1")])

    def test_peers_on_a_unix_socket_can_be_trusted(self):
        with self.start(TRUSTED):
            seen = self.ask(self.path, "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n")
            # It has no address of its own to add.
            self.assertEqual((seen["x-forwarded-for"], seen["x-forwarded-proto"]), ("203.0.113.9", "https"))
            seen = self.ask(self.path)
            self.assertNotIn("x-forwarded-for", seen)
        self.assertEqual(self.logged(), [("203.0.113.9", "unix:"), ("unix:", None)])
        with self.start("headers.trusted_proxies=::/0,0.0.0.0/0"):
            self.assertNotIn("x-forwarded-for", self.ask(self.path, "X-Forwarded-For: 203.0.113.9\r\n"))

    def test_forwarded_of_a_trusted_peer_on_a_unix_socket_passes_as_it_is(self):
        with self.start(TRUSTED, "headers.forwarded=rfc7239"):
            seen = self.ask(self.path, "Forwarded: for=203.0.113.9;proto=https;host=b\r\n")
            self.assertEqual(seen["forwarded"], "for=203.0.113.9;proto=https;host=b")
            self.assertEqual(self.ask(self.path)["forwarded"], 'for=unknown;host="a";proto=http')
        self.assertEqual(self.logged(), [("203.0.113.9", "unix:"), ("unix:", None)])

    def test_a_proxy_header_comes_before_the_fields(self):
        with self.start(TRUSTED, members='proxy_from = [ "127.0.0.1" ];') as rondo:
            self.ask(rondo, "X-Forwarded-For: 203.0.113.9\r\n", version_2("192.0.2.7"))
            self.ask(rondo, "X-Forwarded-For: 203.0.113.9\r\n", version_2("198.51.100.1"))
        self.assertEqual(self.logged(), [("203.0.113.9", "127.0.0.1"), ("198.51.100.1", "127.0.0.1")])

    def test_combined_lines_name_the_peer_too(self):
        with self.start(TRUSTED, log_format="combined+") as rondo:
            self.ask(rondo, "X-Forwarded-For: 203.0.113.9\r\n")
            self.ask(rondo)
        with open(self.log, encoding="utf-8") as lines:
            first, second = lines
        self.assertRegex(first, r"^203\.0\.113\.9 - - .* peer=127\.0\.0\.1 end=ok id=")
        self.assertRegex(second, r"^127\.0\.0\.1 - - ")
        self.assertNotIn("peer=", second)

    def test_the_daemons_log_names_the_client(self):
        listen = f'listen = "unix:{self.path}";\n'
        with self.rondo("http://127.0.0.1:1", settings=[TRUSTED, "queue.wait=0"], config=listen, listen=None) as rondo:
            with Client(self.path) as client:
                client.send(request("/gone", fields="X-Forwarded-For: 203.0.113.9\r\n"))
                self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 502 "))
            rondo.wait_log(r"GET /gone from 203\.0\.113\.9 failed")


if __name__ == "__main__":
    raw.main(__doc__)
