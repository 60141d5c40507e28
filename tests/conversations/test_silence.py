#!/usr/bin/env python3
"""usage: test_silence.py RONDO

Conversations with backends that fall silent, about requests that are then sent to a second one, and about what becomes
of the first.
"""

import contextlib
import json
import re
import tempfile
import threading
import time

import raw
from raw import PATIENCE

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
PATIENT = "silence.after=60ms"


def answer_of(status, content):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(content), content)


class Script:
    """Answers each request with its content; one for which it has been told to wait, when it is told to go on."""

    def __init__(self, content, status=b"200 OK"):
        self.content = content
        self.status = status
        self.waits = False
        self.may_go_on = threading.Event()
        self.got = threading.Semaphore(0)  # can be acquired once for each request
        self.sent = threading.Semaphore(0)  # and once for each answer
        self.heads = []
        self.connections = 0

    def __call__(self, peer, _number):
        self.connections += 1
        with contextlib.suppress(EOFError, OSError):
            while True:
                head = peer.read_head()
                if b"Content-Length: " in head:
                    peer.read(2)
                self.heads.append(head)
                self.got.release()
                if self.waits and not self.may_go_on.wait(PATIENCE):
                    raise AssertionError("never told to go on")
                peer.send(answer_of(self.status, self.content))
                self.sent.release()

    def wait_request(self):
        assert self.got.acquire(timeout=PATIENCE)

    def wait_answer(self):
        assert self.sent.acquire(timeout=PATIENCE)

    def go_on(self):
        self.waits = False
        self.may_go_on.set()


class Silence(raw.Conversation):
    def setUp(self):
        super().setUp()
        self.scripts = []
        self.running = contextlib.ExitStack()

    def tearDown(self):
        for script in self.scripts:
            script.go_on()
        self.running.close()
        super().tearDown()

    def two(self):
        """The scripts of two backends, and the backends: the first is silent."""
        first, second = Script(b"one"), Script(b"two")
        first.waits = True
        self.scripts += [first, second]
        return first, second, self.backend(first), self.backend(second)

    def logged(self, *backends, settings=()):
        """A rondo with an access log, and the function that waits for its lines."""
        log = self.running.enter_context(tempfile.NamedTemporaryFile())
        rondo = self.running.enter_context(self.rondo(*backends, settings=[f"log.access={log.name}", *settings]))

        def lines(count):
            def look():
                with open(log.name, encoding="utf-8") as file:
                    found = file.read().splitlines()
                return found if len(found) >= count else None

            self.wait_until(look)
            return look()

        return rondo, lines

    def turn_for(self, rondo, patiences):
        """Lets rondo turn for so long."""
        end = time.monotonic() + patiences * 0.06
        while time.monotonic() < end:
            self.let_it_turn(rondo)

    def assert_trail(self, line, pattern):
        self.assertRegex(re.search(r" b=(\S+)", line).group(1), pattern)

    # ---- a request that is stuck

    def test_a_reload_that_removes_its_backend_leaves_no_request_stuck(self):
        first, _, a, b = self.two()
        settings = 'silence = { after = "500ms"; }; max_delay_response = "1h"; retry = { deadline = "5s"; };'
        file = self.running.enter_context(tempfile.NamedTemporaryFile(suffix=".conf"))
        raw.write_config(file.name, f'backends = ( "{a.url}", "{b.url}" ); {settings}')
        rondo = self.running.enter_context(raw.Rondo(self.binary, config=file.name))
        client = self.client(rondo)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        first.wait_request()
        raw.write_config(file.name, f'backends = ( "{b.url}" ); {settings}')
        rondo.reload()
        _, content = client.answer()
        self.assertEqual(content, b"two")

    def test_a_request_that_is_stuck_is_answered_by_a_second_backend(self):
        first, _, a, b = self.two()
        rondo, lines = self.logged(a, b, settings=[PATIENT])
        head, content = self.client(rondo).get()
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.assertEqual(content, b"two")
        self.assertIn(b.url.encode(), head)
        self.assert_trail(lines(1)[0], f"^{a.name}:silent:(6|7|8|9)[0-9],{b.name}:200:[0-9]+$")
        first.go_on()

    def test_the_first_one_may_win_all_the_same(self):
        first, second, a, b = self.two()
        second.waits = True
        rondo, lines = self.logged(a, b, settings=[PATIENT])
        client = self.client(rondo)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        second.wait_request()
        first.go_on()
        self.assertEqual(client.answer()[1], b"one")
        second.go_on()
        self.assert_trail(lines(1)[0], f"^{a.name}:200:[0-9]+,{b.name}:lost:[0-9]+$")

    def test_an_answer_that_falls_through_waits_for_the_first_one(self):
        first, second, a, b = self.two()
        second.status = b"503 No"
        rondo, lines = self.logged(a, b, settings=[PATIENT])
        client = self.client(rondo)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        second.wait_answer()
        self.let_it_turn(rondo)
        first.go_on()
        self.assertEqual(client.answer()[1], b"one")
        self.assert_trail(lines(5)[-1], f"^{a.name}:200:[0-9]+,{b.name}:503:[0-9]+$")

    def test_it_is_the_answer_if_the_first_one_never_answers(self):
        _, second, a, b = self.two()
        second.status = b"503 No"
        rondo, _ = self.logged(a, b, settings=[PATIENT, "max_delay_response=200ms"])
        head, content = self.client(rondo).get()
        self.assertTrue(head.startswith(b"HTTP/1.1 503 "), head)
        self.assertEqual(content, b"two")

    def test_a_second_answer_that_falls_through_leaves_room_for_a_third(self):
        first, second, a, b = self.two()
        second.status = b"503 No"
        c = self.backend(Script(b"three"))
        rondo, lines = self.logged(a, b, c, settings=[PATIENT, "max_delay_response=20s"])
        self.assertEqual(self.client(rondo).get()[1], b"three")
        self.assert_trail(lines(1)[0], f"^{a.name}:silent:[0-9]+,{b.name}:503:[0-9]+,{c.name}:200:[0-9]+$")
        first.go_on()

    def test_a_second_one_that_breaks_leaves_the_first(self):
        first, _, a, _ = self.two()
        broken = threading.Event()

        def breaks(peer, _number):
            peer.read_head()
            peer.reset()
            broken.set()

        rondo, _ = self.logged(a, self.backend(breaks), settings=[PATIENT])
        client = self.client(rondo)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(broken.wait(PATIENCE))
        self.let_it_turn(rondo)
        first.go_on()
        self.assertEqual(client.answer()[1], b"one")

    def test_no_more_than_two_are_asked_at_a_time(self):
        first, second, a, b = self.two()
        third = Script(b"three")
        second.waits = True
        rondo, _ = self.logged(a, b, self.backend(third), settings=[PATIENT, "max_delay_response=400ms"])
        client = self.client(rondo)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        second.wait_request()
        self.assertEqual(third.heads, [])
        # When the first of the two has failed, there is room for another.
        self.assertEqual(client.answer()[1], b"three")
        first.go_on()
        second.go_on()

    # ---- requests that are not sent to a second one

    def assert_stays(self, request, settings, content=b"one"):
        first, second, a, b = self.two()
        with self.rondo(a, b, settings=[PATIENT, *settings]) as rondo:
            client = self.client(rondo)
            client.send(request)
            first.wait_request()
            self.turn_for(rondo, 3)
            self.assertEqual(second.heads, [])
            first.go_on()
            self.assertEqual(client.answer()[1], content)

    def test_a_post_stays(self):
        self.assert_stays(POST, [])

    def test_without_rescue_or_retries_everything_stays(self):
        for setting in "silence.rescue=0", "retry.methods=none", "retry.tries=1", "silence.after=off":
            with self.subTest(setting=setting):
                self.assert_stays(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", [setting])

    def test_a_post_that_says_that_it_may_be_repeated_does_not_stay(self):
        first, _, a, b = self.two()
        rondo, _ = self.logged(a, b, settings=[PATIENT])
        client = self.client(rondo)
        client.send(POST.replace(b"Host: a", b"Host: a\r\nIdempotency-Key: 1"))
        self.assertEqual(client.answer()[1], b"two")
        first.go_on()

    def test_one_that_no_backend_can_take_costs_no_processor_time(self):
        first, second, a, b = self.two()
        second.waits = True
        with self.rondo(a, b, settings=[PATIENT, "max_delay_response=1s"]) as rondo:
            before = rondo.cpu_seconds()
            head, _ = self.client(rondo).get()
            self.assertTrue(head.startswith(b"HTTP/1.1 504 "), head)
            # Two attempts of a second; a loop that spins uses all of it.
            self.assertLess(rondo.cpu_seconds() - before, 0.4)
            first.go_on()
            second.go_on()

    # ---- what becomes of the first one

    def test_its_late_answer_is_dropped_and_its_connection_is_used_again(self):
        first, _, a, b = self.two()
        with self.watched(a, b, settings=[PATIENT]) as (rondo, page):
            client = self.client(rondo)
            self.assertEqual(client.get()[1], b"two")
            self.assertIn("rondo_rescues_total{result=\"won\"} 1", page("/metrics"))
            first.go_on()
            self.wait_until(lambda: json.loads(page("/status.json"))["backends"][0]["connections"]["idle"] == 1)
            self.assertEqual(sorted(client.get()[1] for _ in range(2)), [b"one", b"two"])
            self.assertEqual(first.connections, 1)
            self.assertEqual(rondo.count_log("is down"), 0)

    def test_a_408_that_crosses_its_request_is_no_failure(self):
        got, may_go_on = threading.Event(), threading.Event()

        def closes(peer, _number):
            with contextlib.suppress(EOFError, OSError):
                peer.read_head()
                peer.send(answer_of(b"200 OK", b"one"))
                peer.read_head()
                got.set()
                may_go_on.wait(PATIENCE)
                peer.send(answer_of(b"408 Request Timeout", b""))

        a, b = self.backend(closes), self.backend(Script(b"two"))
        with self.watched(a, b, settings=[PATIENT, "retry.statuses=[408, 503]"]) as (rondo, page):
            client = self.client(rondo)
            self.assertEqual([client.get()[1] for _ in range(3)], [b"one", b"two", b"two"])
            self.assertTrue(got.is_set())
            may_go_on.set()
            failures = lambda: json.loads(page("/status.json"))["backends"][0]["failures"]
            self.wait_until(lambda: any(failures().values()))
            self.assertEqual({reason for reason, count in failures().items() if count}, {"stale"})
            self.assertEqual(rondo.count_log("is down"), 0)

    def test_one_that_never_answers_is_down_after_max_delay_response(self):
        _, _, a, b = self.two()
        rondo, _ = self.logged(a, b, settings=[PATIENT, "max_delay_response=300ms"])
        self.assertEqual(self.client(rondo).get()[1], b"two")
        rondo.wait_log(f"backend {a.name} is down: no answer in time")

    def test_a_client_that_leaves_ends_both(self):
        first, second, a, b = self.two()
        second.waits = True
        rondo, lines = self.logged(a, b, settings=[PATIENT])
        before = rondo.descriptors()
        client = self.client(rondo)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        second.wait_request()
        client.reset()
        self.assertIn(" 499 ", lines(1)[0])
        rondo.wait_descriptors(before)
        self.assertEqual(rondo.count_log("is down"), 0)
        first.go_on()

    def test_a_stop_does_not_wait_for_it(self):
        _, _, a, b = self.two()
        rondo, _ = self.logged(a, b, settings=[PATIENT, "max_delay_response=30s", "timeouts.drain=20s"])
        self.assertEqual(self.client(rondo).get()[1], b"two")
        rondo.stop()
        self.assertEqual(rondo.count_log("did not end in time"), 0)

    # ---- a backend that is silent

    def test_a_silent_backend_is_passed_over_until_it_answers(self):
        first, second, a, b = self.two()
        with self.watched(a, b, settings=[PATIENT, "max_delay_response=30s"]) as (rondo, page):
            client = self.client(rondo)
            for _ in range(10):
                self.assertEqual(client.get()[1], b"two")
            self.assertEqual(len(first.heads), 1)
            self.assertEqual(len(second.heads), 10)
            rondo.wait_log(f"backend {a.name} is silent: no answer for [0-9]+ ms, while others answer")
            of_first = json.loads(page("/status.json"))["backends"][0]
            self.assertEqual((of_first["state"], of_first["silent"]), ("up", True))
            self.assertIn("silent: no answer for", of_first["why"])
            self.assertIn(f'rondo_backend_silent{{backend="{a.name}"}} 1', page("/metrics"))
            first.go_on()
            rondo.wait_log(f"backend {a.name} is no longer silent, after")
            # What is told may be a moment old.
            self.wait_until(lambda: f'rondo_backend_silent{{backend="{a.name}"}} 0' in page("/metrics"))
            self.assertEqual({client.get()[1] for _ in range(2)}, {b"one", b"two"})
            events = [event["text"] for event in json.loads(page("/events.json"))]
            self.assertTrue(any(text.startswith("silent: ") for text in events), events)
            self.assertTrue(any(text.startswith("no longer silent") for text in events), events)

    def test_a_request_looks_now_and_then_whether_it_answers(self):
        self.look("round_robin")

    def test_a_request_looks_also_where_the_requests_in_flight_are_counted(self):
        self.look("least_requests")

    def look(self, balance):
        first, _, a, b = self.two()
        settings = [f"balance={balance}", "silence.after=10ms", "max_delay_response=30s"]
        rondo, _ = self.logged(a, b, settings=settings)
        client = self.client(rondo)
        self.wait_until(lambda: client.get() and len(first.heads) > 1)
        self.assertEqual(rondo.count_log("is down"), 0)
        first.go_on()

    def test_a_request_whose_content_is_still_to_come_does_not_look(self):
        first, _, a, _ = self.two()
        begin = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        content = b"2\r\nhi\r\n0\r\n\r\n"

        def takes_both(peer, _number):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    if b"chunked" in peer.read_head():
                        peer.read(len(content))
                    peer.send(answer_of(b"200 OK", b"two"))

        settings = ["silence.after=10ms", "max_delay_response=30s"]
        rondo, _ = self.logged(a, self.backend(takes_both), settings=settings)
        client = self.client(rondo)
        self.assertEqual(client.get()[1], b"two")
        end = time.monotonic() + 0.6  # more than two looks
        while time.monotonic() < end:
            client.send(begin)
            self.let_it_turn(rondo)
            client.send(content)
            self.assertEqual(client.answer()[1], b"two")
        self.assertEqual(len(first.heads), 1)
        self.wait_until(lambda: client.get() and len(first.heads) == 2)

    def test_a_backend_is_not_silent_where_no_other_answers(self):
        first, second, a, b = self.two()
        second.waits = True
        with self.watched(a, b, settings=[PATIENT]) as (rondo, page):
            clients = [self.client(rondo) for _ in range(4)]
            for client in clients:
                client.send(POST)
            for script in first, first, second, second:
                script.wait_request()
            self.turn_for(rondo, 3)
            self.assertNotIn('"silent": true', page("/status.json"))
            first.go_on()
            second.go_on()
            for client in clients:
                client.answer()
            self.assertEqual(rondo.count_log("is silent"), 0)

    # ---- connects

    def test_a_connect_that_takes_too_long_is_given_up_whatever_the_method(self):
        full, second = self.full_backend(), Script(b"two")
        rondo, lines = self.logged(full, self.backend(second), settings=[PATIENT, "timeouts.connect=300ms"])
        client = self.client(rondo)
        client.send(POST)
        self.assertEqual(client.answer()[1], b"two")
        self.assert_trail(lines(1)[0], f"^{full.name}:given_up:(6|7|8|9)[0-9],.*:200:[0-9]+$")
        # The connect went on without the request.
        rondo.wait_log(f"backend {full.name} is down: no connection in time")

    def test_it_is_not_given_up_where_no_other_backend_can_take_the_request(self):
        full = self.full_backend()
        rondo, lines = self.logged(full, settings=[PATIENT, "timeouts.connect=300ms"])
        self.assertTrue(self.client(rondo).get()[0].startswith(b"HTTP/1.1 504 "))
        self.assert_trail(lines(1)[0], f"^{full.name}:connect_timeout:")


if __name__ == "__main__":
    raw.main(__doc__)
