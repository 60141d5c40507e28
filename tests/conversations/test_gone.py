#!/usr/bin/env python3
"""usage: test_gone.py RONDO

Conversations with clients that end their sending side, and what is done for them after that.
"""

import contextlib
import os
import select
import socket
import tempfile
import threading

import raw
from raw import LAST_CHUNK, PATIENCE, chunk, frozen, serve

GET = b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPLOAD = b"PUT /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"abc")
LONG = b"PUT /first HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc"
SHORT = b"PUT /first HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc"
LEFT = [("/first", "499", "client_gone")]


def end(client):
    client.sock.shutdown(socket.SHUT_WR)


class Ending(raw.Conversation):
    @contextlib.contextmanager
    def logging(self, *backends, settings=()):
        """A rondo, and a list that in the end has (target, status, end) of each GET and PUT."""
        logged = []
        with tempfile.NamedTemporaryFile() as log:
            with self.rondo(*backends, settings=[f"log.access={log.name}", *settings]) as rondo:
                yield rondo, logged
            for line in log.read().decode().splitlines():
                _, request, numbers = line.split('"')[:3]
                if request.startswith(("GET", "PUT")):
                    logged.append((request.split()[1], numbers.split()[0],
                                   line.partition(" end=")[2].split()[0]))
        self.is_marked = any(" is down" in line for line in rondo.lines)

    def spare(self):
        """A backend that answers all the same."""
        def answers(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nspare")

        return self.backend(answers)

    def idles(self, rondo):
        """For half a second rondo uses next to nothing of a processor, however many others share it."""
        used = self.ticks(rondo)
        select.select([], [], [], 0.5)
        self.assertLess(self.ticks(rondo) - used, os.sysconf("SC_CLK_TCK") // 20)

    @staticmethod
    def ticks(rondo):
        with open(f"/proc/{rondo.pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rpartition(") ")[2].split()
        return int(fields[11]) + int(fields[12])


class Gone(Ending):
    """A client that has ended its sending side has gone."""

    def leave_during(self, request, answer=b""):
        """The client ends when its request is at a backend, and what there is of an answer at the client: nothing
        more comes, the connection to the backend ends, and no other one is asked. What the log tells of it."""
        is_asked, is_dropped = threading.Event(), threading.Event()

        def script(peer, _number):
            peer.read_until(request[-4:])
            peer.send(answer)
            is_asked.set()
            peer.read_to_end()
            is_dropped.set()

        spare = self.spare()
        settings = ["max_delay_response=1s", "timeouts.response=1s"]
        with self.logging(self.backend(script), spare, settings=settings) as (rondo, logged):
            client = self.client(rondo)
            client.send(request)
            self.assertTrue(is_asked.wait(PATIENCE))
            if answer:
                client.read_until(answer[-4:])
            end(client)
            self.assertEqual(client.read_to_end(), b"")
            self.assertTrue(is_dropped.wait(PATIENCE))
        self.assertEqual(spare.peers, [])
        self.assertFalse(self.is_marked, rondo.tail())
        return logged

    def test_while_a_backend_is_silent(self):
        for request in (GET, SHORT + b"def", UPLOAD + LAST_CHUNK):
            with self.subTest(request=request):
                self.assertEqual(self.leave_during(request), LEFT)

    def test_while_a_backend_is_silent_after_an_interim_answer(self):
        self.assertEqual(self.leave_during(GET, b"HTTP/1.1 103 Early Hints\r\n\r\n"), LEFT)

    def test_before_it_has_sent_all_of_a_content_that_streams(self):
        for request in (UPLOAD, LONG):
            with self.subTest(request=request):
                self.assertEqual(self.leave_during(request), LEFT)

    def test_while_its_answer_streams(self):
        """The log has the status that it got."""
        self.assertEqual(self.leave_during(GET, BEGUN), [("/first", "200", "client_gone")])

    def test_while_its_content_and_its_answer_stream(self):
        self.assertEqual(self.leave_during(UPLOAD, BEGUN), [("/first", "200", "client_gone")])

    def test_before_it_has_sent_all_of_a_short_content(self):
        """No backend hears of it."""
        spare = self.spare()
        with self.logging(spare) as (rondo, logged):
            client = self.client(rondo)
            client.send(SHORT)
            self.let_it_turn(rondo)
            end(client)
            self.assertEqual(client.read_to_end(), b"")
        self.assertEqual(spare.peers, [])
        self.assertEqual(logged, LEFT)

    def test_while_a_backend_is_connected_to(self):
        spare = self.spare()
        settings = ["timeouts.connect=1s"]
        with self.logging(self.full_backend(), spare, settings=settings) as (rondo, logged):
            self.let_it_turn(rondo)
            before = rondo.descriptors()
            client = self.client(rondo)
            client.send(GET)
            self.wait_until(lambda: rondo.descriptors() >= before + 2)
            end(client)
            self.assertEqual(client.read_to_end(), b"")
            self.wait_for_descriptors(rondo, before)
        self.assertEqual(spare.peers, [])
        self.assertEqual(logged, LEFT)

    def test_before_rondo_has_looked_at_its_request(self):
        """No backend is asked."""
        spare = self.spare()
        with self.logging(spare) as (rondo, logged):
            client = self.client(rondo)
            self.let_it_turn(rondo)
            with frozen(rondo):
                client.send(GET)
                end(client)
            self.assertEqual(client.read_to_end(), b"")
        self.assertEqual(spare.peers, [])
        self.assertEqual(logged, LEFT)


class Pipelined(Ending):
    """The end comes behind more than one request."""

    def pipeline(self, answers, settings=()):
        """A backend answers the first so many of three requests and then is silent; the client ends when it is. What
        the client gets, how many requests the backend got, and what the log tells."""
        is_silent = threading.Event()
        heads = []

        def script(peer, _number):
            heads.append(peer.read_head())
            if len(heads) <= answers:
                peer.send(GOOD)
                return script(peer, _number)
            is_silent.set()
            peer.read_to_end()

        with self.logging(self.backend(script), settings=["max_delay_response=1s", *settings]) as (rondo, logged):
            client = self.client(rondo)
            client.send(GET + NEXT + NEXT)
            self.assertTrue(is_silent.wait(PATIENCE))
            end(client)
            got = client.read_to_end()
        return got, len(heads), logged

    def test_answers_from_before_the_end_are_whole_and_what_is_still_waited_for_is_dropped(self):
        got, asked, logged = self.pipeline(1)
        self.assertEqual(got.count(b"HTTP/1.1 "), 1)
        self.assertTrue(got.endswith(b"\r\n\r\ngood"), got)
        self.assertEqual(asked, 2)
        self.assertEqual(logged, [("/first", "200", "ok"), ("/next", "499", "client_gone")])

    def test_nor_is_an_answer_cut_that_is_still_on_its_way(self):
        """The client has not taken it yet, and rondo has not read all that the client sent."""
        size, is_silent, is_dropped = 200000, threading.Event(), threading.Event()

        def script(peer, _number):
            peer.read_until(b"/first ")
            peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"A" * size)
            peer.read_until(b"/next ")
            is_silent.set()
            peer.read_to_end()
            is_dropped.set()

        with self.logging(self.backend(script)) as (rondo, logged):
            client = self.client(rondo)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            client.send(GET + NEXT * 1000)
            self.assertTrue(is_silent.wait(PATIENCE))
            end(client)
            self.assertTrue(is_dropped.wait(PATIENCE))
            self.assertEqual(client.answer()[1], b"A" * size)
            self.assertEqual(client.read_to_end(), b"")
        self.assertEqual(logged, [("/first", "200", "ok"), ("/next", "499", "client_gone")])

    def test_what_is_behind_a_request_that_is_dropped_is_not_asked_for(self):
        got, asked, logged = self.pipeline(0)
        self.assertEqual((got, asked, logged), (b"", 1, LEFT))


class HalfClosed(Ending):
    """With clients.half_close such a client still waits for its answer."""

    SETTINGS = ["clients.half_close=true"]

    @contextlib.contextmanager
    def waiting(self, request, script, *others, settings=()):
        """A client that has sent `request` and then ended; the first backend has got that, and goes on with
        `script(peer)` when the event is set that this yields with rondo, the client and the log."""
        is_asked, may_go_on = threading.Event(), threading.Event()

        def waits(peer, _number):
            peer.read_until(request[-4:])
            is_asked.set()
            may_go_on.wait(PATIENCE)
            script(peer)

        backends = [self.backend(waits), *others]
        with self.logging(*backends, settings=[*self.SETTINGS, *settings]) as (rondo, logged):
            client = self.client(rondo)
            client.send(request)
            self.assertTrue(is_asked.wait(PATIENCE))
            end(client)
            self.let_it_turn(rondo)
            yield rondo, client, may_go_on, logged

    def test_it_gets_the_answer_of_a_slow_backend(self):
        for request in (GET, SHORT + b"def", UPLOAD + LAST_CHUNK):
            with self.subTest(request=request):
                with self.waiting(request, lambda peer: peer.send(GOOD)) as (_, client, may_go_on, logged):
                    may_go_on.set()
                    self.assertTrue(client.read_to_end().endswith(b"\r\n\r\ngood"))
                self.assertEqual(logged, [("/first", "200", "ok")])

    def test_it_costs_nothing_to_let_it_wait(self):
        with self.waiting(GET, lambda peer: peer.send(GOOD)) as (rondo, client, may_go_on, _):
            self.idles(rondo)
            may_go_on.set()
            self.assertTrue(client.read_to_end().endswith(b"\r\n\r\ngood"))

    def test_nor_does_it_when_it_takes_nothing_of_its_answer(self):
        size = 20_000_000

        def script(peer):
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)

        with self.waiting(GET, script) as (rondo, client, may_go_on, logged):
            may_go_on.set()
            self.let_it_turn(rondo)
            self.idles(rondo)
            self.assertEqual(len(client.answer()[1]), size)
        self.assertEqual(logged, [("/first", "200", "ok")])

    def test_it_gets_the_rest_of_an_answer_that_has_begun(self):
        def script(peer):
            peer.send(BEGUN)
            peer.send(b"half")

        with self.waiting(GET, script) as (_, client, may_go_on, logged):
            may_go_on.set()
            self.assertTrue(client.read_to_end().endswith(b"\r\n\r\nhalfhalf"))
        self.assertEqual(logged, [("/first", "200", "ok")])

    def test_the_next_backend_is_asked_for_it(self):
        def script(peer):
            peer.send(GOOD.replace(b"200 OK", b"500 No"))

        with self.waiting(GET, script, self.spare()) as (_, client, may_go_on, logged):
            may_go_on.set()
            self.assertTrue(client.read_to_end().endswith(b"\r\n\r\nspare"))
        self.assertEqual(logged, [("/first", "200", "ok")])

    def test_requests_behind_it_are_answered_too(self):
        with self.logging(self.backend(serve), settings=self.SETTINGS) as (rondo, logged):
            client = self.client(rondo)
            client.send(GET + NEXT + NEXT)
            end(client)
            self.assertEqual(client.read_to_end().count(b"HTTP/1.1 200 OK"), 3)
        self.assertEqual([status for _, status, _ in logged], ["200"] * 3)

    def test_a_content_that_is_not_whole_will_never_be(self):
        for request in (UPLOAD, LONG):
            with self.subTest(request=request):
                with self.waiting(request, raw.Peer.read_to_end) as (_, client, may_go_on, logged):
                    may_go_on.set()
                    self.assertEqual(client.read_to_end(), b"")
                self.assertEqual(logged, LEFT)

    def test_nor_one_that_no_backend_has_heard_of(self):
        spare = self.spare()
        with self.logging(spare, settings=self.SETTINGS) as (rondo, logged):
            client = self.client(rondo)
            client.send(SHORT)
            end(client)
            self.assertEqual(client.read_to_end(), b"")
        self.assertEqual(spare.peers, [])
        self.assertEqual(logged, LEFT)

    def test_one_that_resets_then_has_gone_all_the_same(self):
        is_dropped = threading.Event()

        def script(peer):
            peer.read_to_end()
            is_dropped.set()

        with self.waiting(GET, script) as (_, client, may_go_on, logged):
            may_go_on.set()
            client.reset()
            self.assertTrue(is_dropped.wait(PATIENCE))
        self.assertEqual(logged, LEFT)


class Tunnel(Ending):
    def test_its_ended_side_costs_nothing_while_the_other_goes_on(self):
        may_go_on = threading.Event()
        heard = []

        def script(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\n" + UPGRADE)
            heard.append(peer.read_to_end())
            may_go_on.wait(PATIENCE)
            peer.send(b"from the backend")

        with self.logging(self.backend(script)) as (rondo, logged):
            client = self.client(rondo)
            client.send(GET[:-2] + UPGRADE)
            client.read_head()
            client.send(b"from the client")
            end(client)
            self.idles(rondo)
            may_go_on.set()
            self.assertEqual(client.read_to_end(), b"from the backend")
        self.assertEqual(heard, [b"from the client"])
        self.assertEqual(logged, [("/first", "101", "ok")])

    @staticmethod
    def fill(peer):
        """Sends until nobody has taken a byte for a while."""
        peer.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while True:
                peer.send(bytes(65536))

    def leave_when_backend_takes_no_more(self, script):
        """The client is reset while bytes of it wait for the backend. What the script then does costs nothing."""
        is_left, is_done, may_end = threading.Event(), threading.Event(), threading.Event()

        def plays(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\n" + UPGRADE)
            script(peer, is_left)
            is_done.set()
            may_end.wait(PATIENCE)

        with self.rondo(self.backend(plays)) as rondo:
            client = self.client(rondo)
            client.send(GET[:-2] + UPGRADE)
            client.read_head()
            self.fill(client)
            client.reset()
            is_left.set()
            self.assertTrue(is_done.wait(PATIENCE))
            try:
                self.idles(rondo)
            finally:
                may_end.set()

    def test_a_client_that_takes_nothing_and_is_gone_costs_nothing(self):
        self.leave_when_backend_takes_no_more(lambda peer, _is_left: self.fill(peer))

    def test_nor_does_what_the_backend_has_to_say_to_one_that_is_gone(self):
        def script(peer, is_left):
            is_left.wait(PATIENCE)
            peer.send(b"from the backend")

        self.leave_when_backend_takes_no_more(script)


if __name__ == "__main__":
    raw.main(__doc__)
