#!/usr/bin/env python3
"""usage: test_upgrades.py RONDO

Conversations that change to another protocol, or do not: docker attach, SPDY, WebSocket, and own protocols.
"""

import contextlib
import select
import socket
import tempfile
import threading

import raw
from raw import PATIENCE, serve, value

RAW_STREAM = b"Content-Type: application/vnd.docker.raw-stream\r\n"
SWITCH = b"HTTP/1.1 101 UPGRADED\r\n%sConnection: Upgrade\r\nUpgrade: %s\r\n\r\n"
ALL = ["upgrades=*"]


def ask(protocols, method=b"GET", fields=b"", content=b""):
    length = b"Content-Length: %d\r\n" % len(content) if content else b""
    return (b"%s /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s%s\r\n%s" %
            (method, protocols, fields, length, content))


class Upgrading(raw.Conversation):
    def switcher(self, protocol, fields=b"", seen=None):
        """A backend that reads a request to its end, changes to `protocol` and echoes until the end."""
        def script(peer, _number):
            head = peer.read_head()
            content = peer.read(int(value(head, b"content-length") or 0))
            if seen is not None:
                seen.append((value(head, b"upgrade"), value(head, b"connection"), content))
            with contextlib.suppress(ConnectionResetError):  # where the 101 is a broken response
                peer.send(SWITCH % (fields, protocol))
                while data := peer.recv(65536):
                    peer.send(data)
                peer.shutdown(socket.SHUT_WR)

        return self.backend(script)

    def echo(self, client, switched_to):
        """The answer is a 101 that names the protocol, and what is sent then comes back; the end as well."""
        head = client.read_head()
        self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
        self.assertEqual(value(head, b"upgrade"), switched_to)
        self.assertEqual(value(head, b"connection").lower(), b"upgrade")
        client.send(b"\x00any\r\n\r\nbytes\xff")
        self.assertEqual(client.read(14), b"\x00any\r\n\r\nbytes\xff")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(client.read_to_end(), b"")


class Allowed(Upgrading):
    def test_every_method_and_counted_content_may_ask_for_what_is_allowed(self):
        cases = [
            ("*", ask(b"tcp"), b"tcp", b""),
            ("websocket,tcp", ask(b"tcp", b"POST", b"Content-Type: application/json\r\n", b"{}"), b"tcp", b"{}"),
            ("tcp", ask(b"tcp", b"POST", content=b"c" * 200000), b"tcp", b"c" * 200000),
            ("TCP", ask(b"Tcp", b"POST"), b"Tcp", b""),
            ("websocket,SPDY/3.1", ask(b"SPDY/3.1", b"POST"), b"SPDY/3.1", b""),
            ("SPDY", ask(b"SPDY/3.1", b"POST", b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n"), b"SPDY/3.1", b""),
            ("*", ask(b"DERP"), b"DERP", b""),
            ("my-proto/1.0", ask(b"my-proto/1.0", b"PUT"), b"my-proto/1.0", b""),
            ("TLS", ask(b"TLS/1.0", b"OPTIONS"), b"TLS/1.0", b""),
        ]
        for allowed, request, protocol, content in cases:
            with self.subTest(allowed=allowed, request=request[:80]):
                seen = []
                backend = self.switcher(protocol, RAW_STREAM, seen)
                with self.rondo(backend, settings=[f"upgrades={allowed}"]) as rondo:
                    client = self.client(rondo)
                    client.send(request)
                    self.echo(client, protocol)
                self.assertEqual(seen, [(protocol, b"Upgrade", content)])

    def test_of_several_only_those_of_the_list_go_on(self):
        seen = []
        with self.rondo(self.switcher(b"websocket", seen=seen), settings=["upgrades=websocket,tcp"]) as rondo:
            client = self.client(rondo)
            client.send(ask(b"foo, WebSocket\r\nUpgrade: h2c,tcp , bar/2"))
            self.echo(client, b"websocket")
        self.assertEqual(seen, [(b"websocket, tcp", b"Upgrade", b"")])

    def test_bytes_sent_early_wait_for_the_101_behind_content(self):
        has_content, may_switch = threading.Event(), threading.Event()
        seen = []

        def script(peer, _number):
            peer.read_head()
            seen.append(peer.read(2))
            has_content.set()
            may_switch.wait(PATIENCE)
            peer.send(SWITCH % (b"", b"tcp"))
            seen.append(peer.read(5))

        backend = self.backend(script, is_local=True)
        with self.rondo(backend, settings=["upgrades=tcp"]) as rondo:
            client = self.client(rondo)
            client.send(ask(b"tcp", b"POST", content=b"{}") + b"early")
            self.assertTrue(has_content.wait(PATIENCE))
            self.let_it_turn(rondo)
            self.assertEqual(select.select([backend.peers[0].sock], [], [], 0)[0], [])
            may_switch.set()
            self.assertTrue(client.read_head().startswith(b"HTTP/1.1 101 "))
        backend.wait()
        self.assertEqual(seen, [b"{}", b"early"])

    def test_a_200_is_an_answer_like_any_other(self):
        """Before API 1.x docker attached so. The next request follows."""
        def script(peer, _number):
            for _ in range(2):
                head = peer.read_head()
                peer.read(int(value(head, b"content-length") or 0))
                peer.send(b"HTTP/1.1 200 OK\r\n%sContent-Length: 4\r\n\r\ngood" % RAW_STREAM)

        with self.rondo(self.backend(script), settings=ALL) as rondo:
            client = self.client(rondo)
            client.send(ask(b"tcp", b"POST", content=b"{}") + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
            for _ in range(2):
                head, content = client.answer()
                self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
                self.assertIsNone(value(head, b"upgrade"))
                self.assertEqual(content, b"good")
        self.assertEqual(len(self.backends[0].peers), 1)

    def test_either_end_may_end_first(self):
        """What the other one still sends arrives."""
        for first in ("client", "backend"):
            with self.subTest(first=first):
                heard = []

                def script(peer, _number, first=first, heard=heard):
                    peer.read_head()
                    peer.send(SWITCH % (b"", b"tcp"))
                    if first == "backend":
                        peer.send(b"bye")
                        peer.shutdown(socket.SHUT_WR)
                    heard.append(peer.read_to_end())
                    if first == "client":
                        peer.send(b"output after the input has ended")

                with self.rondo(self.backend(script), settings=["upgrades=tcp"]) as rondo:
                    client = self.client(rondo)
                    client.send(ask(b"tcp", b"POST"))
                    client.read_head()
                    if first == "backend":
                        self.assertEqual(client.read_to_end(), b"bye")
                    client.send(b"input")
                    client.shutdown(socket.SHUT_WR)
                    self.assertEqual(client.read_to_end(),
                                     b"" if first == "backend" else b"output after the input has ended")
                self.backends[-1].wait()
                self.assertEqual(heard, [b"input"])


    def test_a_100_comes_before_the_101_and_content_between_them(self):
        def script(peer, _number):
            self.assertEqual(value(peer.read_head(), b"expect"), b"100-continue")
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            peer.read(2)
            peer.send(SWITCH % (RAW_STREAM, b"tcp") + b"first")
            peer.send(peer.read(4))

        with self.rondo(self.backend(script), settings=ALL) as rondo:
            client = self.client(rondo)
            client.send(ask(b"tcp", b"POST", b"Expect: 100-continue\r\nContent-Length: 2\r\n"))
            self.assertTrue(client.read_head().startswith(b"HTTP/1.1 100 "))
            client.send(b"{}more")
            head = client.read_head()
            self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
            self.assertIn(RAW_STREAM, head)
            self.assertEqual(client.read_to_end(), b"firstmore")

    def test_many_bytes_follow_the_end_of_the_other_side(self):
        many = bytes(range(256)) * 32768
        heard = []

        def script(peer, _number):
            peer.read_head()
            peer.send(SWITCH % (b"", b"own/7"))
            heard.append(peer.read_to_end())
            peer.send(many)

        backend = self.backend(script)
        with self.rondo(backend, settings=["upgrades=own"]) as rondo:
            client = self.client(rondo)
            client.send(ask(b"own/7"))
            client.read_head()
            client.send(many)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.read_to_end(), many)
        self.assertEqual(heard, [many])

    def test_who_ends_before_the_101_has_gone_or_not_as_clients_half_close_says(self):
        for half_close, expected in (("false", b""), ("true", b"early, and the end")):
            with self.subTest(half_close=half_close), tempfile.NamedTemporaryFile() as log:
                may_switch = threading.Event()

                def script(peer, _number, may_switch=may_switch):
                    peer.read_head()
                    may_switch.wait(PATIENCE)
                    with contextlib.suppress(OSError):  # where rondo has left
                        peer.send(SWITCH % (b"", b"tcp"))
                        peer.send(peer.read_to_end() + b", and the end")

                settings = ["upgrades=tcp", f"clients.half_close={half_close}", f"log.access={log.name}"]
                with self.rondo(self.backend(script), settings=settings) as rondo:
                    client = self.client(rondo)
                    client.send(ask(b"tcp") + b"early")
                    client.shutdown(socket.SHUT_WR)
                    self.let_it_turn(rondo)
                    may_switch.set()
                    self.assertEqual(client.read_to_end().rpartition(b"\r\n\r\n")[2], expected)
                with open(log.name, encoding="utf-8") as lines:
                    self.assertIn("end=client_gone" if half_close == "false" else '" 101 ', lines.read())


class NotAllowed(Upgrading):
    def test_it_is_dropped_and_the_request_answered(self):
        cases = [
            ("websocket", ask(b"tcp")),
            ("websocket,tcp", ask(b"SPDY/3.1")),
            ("SPDY/3.1", ask(b"SPDY/3")),
            ("*", ask(b"h2c", fields=b"HTTP2-Settings: x\r\n")),
            ("*", ask(b"H2C")),
            ("*", ask(b"websocket", b"POST")),
            ("*", ask(b"websocket", content=b"ab")),
            ("*", ask(b"tcp", b"POST", b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n"),
            ("*", ask(b"tcp").replace(b"HTTP/1.1", b"HTTP/1.0")),
            ("*", b"GET /x HTTP/1.1\r\nHost: a\r\nUpgrade: tcp\r\n\r\n"),
            ("*", b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n"),
            ("", ask(b"websocket")),
        ]
        for allowed, request in cases:
            with self.subTest(allowed=allowed, request=request):
                def script(peer, _number):
                    head = peer.read_head()
                    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(head), head))

                with self.rondo(self.backend(script), settings=[f"upgrades={allowed}"]) as rondo:
                    client = self.client(rondo)
                    client.send(request)
                    head, seen = client.answer()
                self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
                self.assertNotIn(b"upgrade", seen.lower())

    def test_a_101_to_it_is_a_broken_response(self):
        """Also to what was dropped from a list, and to nothing at all."""
        for asked in (ask(b"foo, tcp", b"POST"), ask(b"foo"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
            with self.subTest(asked=asked), self.rondo(self.switcher(b"foo"), settings=["upgrades=tcp"]) as rondo:
                client = self.client(rondo)
                client.send(asked)
                self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 502 "))

    def test_a_reload_changes_what_is_allowed_and_tunnels_stay(self):
        backend = self.switcher(b"tcp")
        config = 'backends = ( "%s" );\nupgrades = [ "%s" ];\n'
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            raw.write_config(file.name, config % (backend.url, "tcp"))
            with raw.Rondo(self.binary, [], (), file.name) as rondo:
                client = self.client(rondo)
                client.send(ask(b"tcp"))
                self.assertTrue(client.read_head().startswith(b"HTTP/1.1 101 "))
                raw.write_config(file.name, config % (self.backend(serve).url, "websocket"))
                rondo.reload()
                other = self.client(rondo)
                other.send(ask(b"tcp"))
                self.assertTrue(other.answer()[0].startswith(b"HTTP/1.1 200 "))
                client.send(b"still here")
                self.assertEqual(client.read(10), b"still here")
                while self.closing:
                    self.closing.pop().close()


if __name__ == "__main__":
    raw.main(__doc__)
