#!/usr/bin/env python3
"""usage: test_waiting.py RONDO

Conversations with requests that wait for a backend, because all are full or none is up.
"""

import contextlib
import os
import re
import socket
import subprocess
import tempfile
import threading

import raw
from raw import PATIENCE

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
LONG = ["queue.wait=1h", "retry.deadline=1h", "max_delay_response=1h"]
PLACE = "max_connections = 1"


def get(target):
    return b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % target.encode()


class Holding:
    """A script that answers each request when it is told to, and keeps what it was asked for, in order."""

    def __init__(self):
        self.asked = []
        self.got = threading.Semaphore(0)
        self.may_answer = threading.Semaphore(0)

    def __call__(self, peer, _number):
        with contextlib.suppress(EOFError, OSError):
            while True:
                head = peer.read_head()
                if b"Content-Length: " in head:
                    peer.read(2)
                self.asked.append(head.split(b" ")[1].decode()[1:])
                self.got.release()
                if not self.may_answer.acquire(timeout=PATIENCE):
                    raise AssertionError("never told to answer")
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def wait_request(self):
        assert self.got.acquire(timeout=PATIENCE)

    def answer(self, count=1):
        self.may_answer.release(count)


def served(client):
    head, _ = client.answer()
    assert head.startswith(b"HTTP/1.1 200 "), head


class Waiting(raw.Conversation):
    def setUp(self):
        super().setUp()
        self.running = contextlib.ExitStack()

    def tearDown(self):
        self.running.close()
        super().tearDown()

    def started(self, *entries, settings=()):
        """A rondo with these entries of `backends`, and its access log."""
        self.file = self.running.enter_context(tempfile.NamedTemporaryFile(suffix=".conf"))
        self.configure(*entries)
        log = self.running.enter_context(tempfile.NamedTemporaryFile())
        rondo = raw.Rondo(self.binary, settings=[f"log.access={log.name}", *settings], config=self.file.name)
        self.running.enter_context(rondo)
        self.running.callback(lambda: [client.close() for client in self.closing])
        return rondo, log.name

    def configure(self, *entries, settings=""):
        raw.write_config(self.file.name, f"backends = ( {', '.join(entries)} ); {settings}")

    def one_place(self, settings=LONG):
        """A rondo whose only backend takes one request at a time, and has one."""
        script = Holding()
        backend = self.backend(script)
        rondo, log = self.started(f'{{ url = "{backend.url}"; {PLACE}; }}', settings=settings)
        first = self.sent(rondo, "first")
        script.wait_request()
        return rondo, log, script, first

    def sent(self, rondo, target):
        client = self.client(rondo)
        client.send(get(target))
        return client

    def queued(self, rondo, target):
        """A client whose request waits."""
        client = self.sent(rondo, target)
        self.let_it_turn(rondo)
        return client

    def lines(self, log, count):
        def look():
            with open(log, encoding="utf-8") as file:
                found = [line for line in file.read().splitlines() if '"TRACE' not in line]
            return found if len(found) >= count else None

        self.wait_until(look)
        return look()

    def free_port(self):
        return raw.free_port()

    # ---- for a place

    def test_requests_are_served_in_the_order_in_which_they_came(self):
        rondo, log, script, first = self.one_place()
        waiting = [self.queued(rondo, name) for name in ("second", "third", "fourth")]
        script.answer()
        served(first)
        for client in waiting:
            script.wait_request()
            self.let_it_turn(rondo)
            script.answer()
            served(client)
        self.assertEqual(script.asked, ["first", "second", "third", "fourth"])
        found = self.lines(log, 4)
        self.assertEqual([bool(re.search(r" try=1 qt=[0-9]+\.[0-9]{3} end=ok ", line)) for line in found],
                         [False, True, True, True], found)

    def test_the_client_whose_place_is_free_again_does_not_overtake(self):
        rondo, _, script, first = self.one_place()
        second = self.queued(rondo, "second")
        first.send(get("again"))  # it waits in the socket
        script.answer()
        served(first)
        script.wait_request()
        script.answer(2)
        served(second)
        served(first)
        self.assertEqual(script.asked, ["first", "second", "again"])

    def test_one_that_leaves_is_not_sent(self):
        rondo, log, script, first = self.one_place()
        gone = self.queued(rondo, "gone")
        last = self.queued(rondo, "last")
        gone.close()
        self.closing.remove(gone)
        self.wait_until(lambda: any(" 499 " in line for line in self.lines(log, 1)))
        script.answer(2)
        served(first)
        served(last)
        self.assertEqual(script.asked, ["first", "last"])

    def test_the_wait_ends(self):
        rondo, log, script, first = self.one_place(["queue.wait=100ms"])
        head, _ = self.queued(rondo, "second").answer()
        self.assertTrue(head.startswith(b"HTTP/1.1 503 "), head)
        self.assertIn(b"\r\nRetry-After: 1\r\n", head)
        script.answer()
        served(first)
        line = next(line for line in self.lines(log, 2) if " 503 " in line)
        self.assertGreaterEqual(float(re.search(r" qt=([0-9.]+) ", line).group(1)), 0.1)

    def test_retry_deadline_holds_over_the_wait(self):
        rondo, _, script, first = self.one_place(["queue.wait=1h"])
        # The first one keeps the rules that it began with.
        self.configure(f'{{ url = "{self.backends[0].url}"; {PLACE}; }}', settings='retry = { deadline = "100ms"; };')
        rondo.reload()
        head, _ = self.queued(rondo, "second").answer()
        self.assertTrue(head.startswith(b"HTTP/1.1 503 "), head)
        script.answer()
        served(first)

    def test_one_too_many_gets_503_at_once(self):
        rondo, _, script, first = self.one_place([*LONG, "queue.length=1"])
        second = self.queued(rondo, "second")
        head, _ = self.sent(rondo, "third").answer()
        self.assertTrue(head.startswith(b"HTTP/1.1 503 "), head)
        self.assertIn(b"\r\nRetry-After: 1\r\n", head)
        script.answer(2)
        served(first)
        served(second)
        self.assertEqual(script.asked, ["first", "second"])

    def test_a_reload_that_brings_a_backend_ends_the_wait(self):
        rondo, _, script, first = self.one_place()
        second = self.queued(rondo, "second")
        other = self.backend(raw.serve)
        self.configure(f'{{ url = "{self.backends[0].url}"; {PLACE}; }}', f'"{other.url}"')
        rondo.reload()
        served(second)
        script.answer()
        served(first)

    def test_a_reload_that_takes_the_limit_away_ends_the_wait(self):
        rondo, _, script, first = self.one_place()
        second = self.queued(rondo, "second")
        self.configure(f'"{self.backends[0].url}"')
        rondo.reload()
        script.answer(2)
        served(second)
        served(first)

    def test_where_the_last_backend_is_drained_all_that_wait_are_answered(self):
        script = Holding()
        backend = self.backend(script)
        with tempfile.TemporaryDirectory() as directory:
            socket_path = f"{directory}/admin"
            rondo, _ = self.started(f'{{ url = "{backend.url}"; {PLACE}; }}',
                                    settings=[*LONG, f"admin.socket={socket_path}"])
            first = self.sent(rondo, "first")
            script.wait_request()
            waiting = [self.queued(rondo, name) for name in ("second", "third")]
            drain = [os.path.join(os.path.dirname(self.binary), "rondoctl"), "-s", socket_path, "drain", backend.name]
            subprocess.run(drain, check=True, stdout=subprocess.DEVNULL)
            for client in waiting:
                head, _ = client.answer()
                self.assertTrue(head.startswith(b"HTTP/1.1 503 "), head)
            script.answer()
            served(first)

    # ---- for a backend that comes up

    def test_a_request_waits_for_a_backend_that_restarts(self):
        port = self.free_port()
        rondo, log = self.started(f'"http://127.0.0.1:{port}"', settings=LONG)
        clients = [self.queued(rondo, "get"), self.client(rondo)]
        clients[1].send(POST)
        self.let_it_turn(rondo)
        self.backend(raw.serve, port=port)
        for client in clients:
            served(client)
        rondo.wait_log("is up: trial succeeded|is up: it answered")

    def test_the_first_one_is_the_trial_and_the_others_wait_for_its_success(self):
        port = self.free_port()
        rondo, _ = self.started(f'"http://127.0.0.1:{port}"', settings=LONG)
        names = [f"r{number}" for number in range(8)]
        clients = [self.queued(rondo, name) for name in names]
        script = Holding()
        self.backend(script, port=port)
        script.wait_request()
        self.let_it_turn(rondo)
        self.assertEqual(script.asked, ["r0"])
        script.answer(len(names))
        for client in clients:
            served(client)
        self.assertCountEqual(script.asked, names)

    def test_a_request_that_may_be_repeated_waits_where_its_backend_ended_meanwhile(self):
        def end(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            peer.read_head()
            self.backends[0].refuse()

        first = self.backend(end)
        rondo, _ = self.started(f'"{first.url}"', settings=LONG)
        client = self.sent(rondo, "one")
        served(client)
        client.send(get("two"))
        rondo.wait_log("is down: connection refused")
        self.backend(raw.serve, port=first.port)
        served(client)

    def test_where_nobody_comes_the_answer_tells_what_was_tried(self):
        rondo, log = self.started(f'"http://127.0.0.1:{self.free_port()}"', settings=["queue.wait=100ms"])
        head, _ = self.sent(rondo, "get").answer()
        self.assertTrue(head.startswith(b"HTTP/1.1 502 "), head)
        self.assertRegex(self.lines(log, 1)[0], r" b=\S+:refused:[0-9]+,?\S* .* try=[12] qt=0\.[1-9][0-9]* end=refused ")

    def test_without_a_wait_everything_is_answered_at_once(self):
        rondo, log, script, first = self.one_place(["queue.wait=0s"])
        head, _ = self.sent(rondo, "second").answer()
        self.assertTrue(head.startswith(b"HTTP/1.1 503 "), head)
        self.assertIn(b"\r\nRetry-After: 1\r\n", head)
        script.answer()
        served(first)
        self.assertFalse([line for line in self.lines(log, 2) if " qt=" in line])

    # ---- a Unix socket

    def test_a_full_accept_queue_is_tried_again(self):
        backend = self.backend(raw.serve, is_local=True, backlog=0, is_accepting=False)
        filler = socket.socket(socket.AF_UNIX)
        filler.connect(backend.url[5:])
        rondo, _ = self.started(f'"{backend.url}"', settings=LONG)
        clients = [self.queued(rondo, "one"), self.queued(rondo, "two")]
        filler.close()
        backend.accept()
        for client in clients:
            served(client)
        self.assertEqual(rondo.count_log("is down"), 0)


if __name__ == "__main__":
    raw.main(__doc__)
