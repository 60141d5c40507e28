#!/usr/bin/env python3
"""usage: test_blame.py RONDO

Conversations in which something fails, and it matters who is held to be at fault.
"""

import contextlib
import socket
import threading
import time

import raw
from raw import LAST_CHUNK, PATIENCE, chunk, serve, value

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"


class Blame(raw.Conversation):
    @staticmethod
    def downs(rondo):
        """What it said of backends that went down; all of it is there when it has ended."""
        return [line for line in rondo.lines if " is down: " in line]


class Poison(Blame):
    REQUESTS = 4  # more than mark a backend

    def test_what_nobody_answers_to_impatient_clients_marks_nobody(self):
        is_waited_for = threading.Event()

        def breaks(peer, _number):
            peer.read_head()
            peer.reset()

        def is_silent(peer, _number):
            peer.read_head()
            is_waited_for.set()
            peer.read_to_end()

        with self.rondo(self.backend(breaks), self.backend(is_silent)) as rondo:
            for _ in range(self.REQUESTS):
                is_waited_for.clear()
                client = self.client(rondo)
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertTrue(is_waited_for.wait(PATIENCE))
                client.reset()
                self.let_it_turn(rondo)
        self.assertEqual(self.downs(rondo), [])


class Suspicions(Blame):
    def test_two_requests_are_not_three(self):
        """Two failures that could not be compared, and then the first of these answers is cut off. Meanwhile the
        others answer three such requests, which is enough to compare with."""
        may_break = threading.Event()

        def fails(peer, number):
            peer.read_head()
            peer.read(1)
            peer.send(b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\n" + (b"N" if number == 0 else b"No!"))
            if number == 0:
                may_break.wait(PATIENCE)

        failing = self.backend(fails)
        with self.rondo(failing, *[self.backend(serve) for _ in range(3)]) as rondo:
            client, other = self.client(rondo), self.client(rondo)
            client.send(POST)
            client.read_until(b"\r\n\r\nN")
            for _ in range(3):
                other.send(POST)
                self.assertTrue(other.answer()[0].startswith(b"HTTP/1.1 200 "))
            other.send(POST)
            self.assertTrue(other.answer()[0].startswith(b"HTTP/1.1 500 "))
            may_break.set()
            self.assertEqual(client.read_to_end(), b"")
        self.assertEqual(self.downs(rondo), [])


class Uploads(Blame):
    """Backends that wait for content, and for a client that does not send it: chunks, because rondo itself waits
    for short content whose length is known."""

    HEAD = b" / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    FIRST, SECOND = chunk(b"123"), chunk(b"456")

    def upload_to(self, impatient):
        """The status for a client whose first backend does not wait for the rest, and what is said of that."""
        others_turn = threading.Event()

        def answers(peer, _number):
            peer.read_head()
            peer.read(len(self.FIRST))
            others_turn.set()
            peer.read(len(self.SECOND + LAST_CHUNK))
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")

        with self.rondo(self.backend(impatient), self.backend(answers)) as rondo:
            client = self.client(rondo)
            client.send(b"PUT" + self.HEAD + self.FIRST)
            self.assertTrue(others_turn.wait(PATIENCE))
            client.send(self.SECOND + LAST_CHUNK)
            head, _ = client.answer()
        return head.split()[1], self.downs(rondo)

    @staticmethod
    def has_enough_of(peer):
        """Waits for more, longer than a second, which it takes to be impatient."""
        peer.sock.settimeout(1.1)
        with contextlib.suppress(TimeoutError):
            peer.read(1)

    def test_a_backend_that_does_not_wait_for_a_slow_client_is_not_to_blame(self):
        def closes(peer, _number):
            peer.read_head()
            peer.read(len(self.FIRST))
            self.has_enough_of(peer)

        def resets(peer, number):
            closes(peer, number)
            peer.reset()

        def continues(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            peer.read(len(self.FIRST))
            self.has_enough_of(peer)

        for impatient in (closes, resets, continues):
            with self.subTest(impatient.__name__):
                self.assertEqual(self.upload_to(impatient), (b"200", []))

    def test_the_times_that_it_waits_count_together(self):
        """None of them is long enough."""
        def closes(peer, _number):
            peer.read_head()
            peer.read(len(3 * self.FIRST))

        others_turn = threading.Event()

        def answers(peer, _number):
            peer.read_head()
            others_turn.set()
            peer.read_until(LAST_CHUNK)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")

        with self.rondo(self.backend(closes), self.backend(answers)) as rondo:
            client = self.client(rondo)
            client.send(b"PUT" + self.HEAD + self.FIRST)
            for _ in range(2):
                time.sleep(0.6)  # the client's time
                client.send(self.FIRST)
            self.assertTrue(others_turn.wait(PATIENCE))
            client.send(LAST_CHUNK)
            self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 200 "))
        self.assertEqual(self.downs(rondo), [])

    def test_nor_is_one_whose_requests_cannot_be_sent_elsewhere(self):
        def closes(peer, _number):
            peer.read_head()
            peer.read(len(self.FIRST))
            self.has_enough_of(peer)

        with self.rondo(self.backend(closes), self.backend(closes)) as rondo:
            clients = [self.client(rondo) for _ in range(8)]
            for client in clients:
                client.send(b"POST" + self.HEAD + self.FIRST)
            for client in clients:
                head, _ = client.answer()
                self.assertTrue(head.startswith(b"HTTP/1.1 502 "), head)
        self.assertEqual(self.downs(rondo), [])

    def test_a_backend_that_breaks_at_once_is_to_blame_although_more_was_to_come(self):
        def closes(peer, _number):
            peer.read_head()
            peer.read(len(self.FIRST))

        status, downs = self.upload_to(closes)
        self.assertEqual(status, b"200")
        self.assertEqual(len(downs), 1)

    def test_a_client_that_waits_for_a_100_is_not_slow(self):
        def closes(peer, _number):
            peer.read_head()
            self.has_enough_of(peer)

        def continues(peer, _number):
            peer.read_head()
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            peer.read(3)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")

        with self.rondo(self.backend(closes), self.backend(continues)) as rondo:
            client = self.client(rondo)
            client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                        b"Expect: 100-continue\r\n\r\n")
            self.assertEqual(client.read_head(), b"HTTP/1.1 100 Continue\r\n\r\n")
            client.send(b"123")
            self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 200 "))
        self.assertEqual(len(self.downs(rondo)), 1)

    def test_a_backend_that_breaks_in_its_answer_is_to_blame_however_slow_the_client(self):
        def breaks(peer, _number):
            peer.read_head()
            peer.read(len(self.FIRST))
            peer.send(b"HTTP/1.1 200 O")

        status, downs = self.upload_to(breaks)
        self.assertEqual(status, b"200")
        self.assertEqual(len(downs), 1)


class Downloads(Blame):
    def test_a_backend_that_does_not_wait_for_clients_that_take_nothing_is_not_to_blame(self):
        """Its answers are cut off, one after the other, while others answer such requests well."""
        waiting = 3
        is_full, may_break, is_over = threading.Semaphore(0), threading.Event(), threading.Event()
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 64_000_000

        def floods(peer, number):
            peer.read_head()
            peer.sock.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                peer.send(answer)
            is_full.release()
            (may_break if number < waiting else is_over).wait(PATIENCE)
            peer.reset()

        def deaf(rondo):
            client = self.client(rondo)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.send(GET)
            self.assertTrue(is_full.acquire(timeout=PATIENCE))
            for _ in range(3):
                self.assertTrue(other.get()[0].startswith(b"HTTP/1.1 200 "))
            return client

        with self.rondo(self.backend(floods), *[self.backend(serve) for _ in range(3)]) as rondo:
            other = self.client(rondo)
            clients = [deaf(rondo) for _ in range(waiting)]
            time.sleep(1.1)  # the clients' time
            may_break.set()
            for client in clients:
                self.assertLess(len(client.read_to_end()), 100_000_000)
                deaf(rondo)
            self.let_it_turn(rondo)
            is_over.set()
        self.assertEqual(self.downs(rondo), [])


class Fleet(Blame):
    """Backends that fail by rule, and one client that asks one thing after the other."""

    GOOD, BAD = b"200 OK", b"500 No"

    def fleet(self, count, rule):
        """So many backends. `rule(name, number, method)` tells the status line of the answer to the number-th request
        that the backend `name` got, both from 0. self.asked counts those by backend."""
        self.asked = [0] * count

        def script(peer, name):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    head = peer.read_head()
                    peer.read(int(value(head, b"content-length") or 0))
                    number = self.asked[name]
                    self.asked[name] += 1
                    self.answer(peer, rule(name, number, head.split()[0]))

        return [self.backend(lambda peer, _, name=name: script(peer, name)) for name in range(count)]

    @staticmethod
    def answer(peer, status):
        peer.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\nword")

    def ask(self, client, times=1, request=GET):
        """The statuses of so many answers."""
        statuses = []
        for _ in range(times):
            client.send(request)
            statuses.append(client.answer()[0].split()[1])
        return statuses


class Evidence(Fleet):
    """How much of it is needed."""

    HISTORY = 20  # answers, more than a record holds

    def test_a_backend_that_fails_from_the_start_is_skipped_after_its_first_failure(self):
        fleet = self.fleet(3, lambda name, _number, _method: self.BAD if name == 0 else self.GOOD)
        with self.rondo(*fleet) as rondo:
            self.assertEqual(self.ask(self.client(rondo), 30), [b"200"] * 30)
        self.assertEqual(self.asked[0], 1)

    def test_one_that_breaks_after_a_long_good_time_is_skipped_after_three(self):
        """Not for a single one, and not much later."""
        fleet = self.fleet(3, lambda name, number, _method:
                           self.BAD if name == 0 and number >= self.HISTORY else self.GOOD)
        with self.rondo(*fleet) as rondo:
            client = self.client(rondo)
            self.assertEqual(self.ask(client, 3 * self.HISTORY + 40), [b"200"] * (3 * self.HISTORY + 40))
        self.assertEqual(self.asked[0], self.HISTORY + 3)
        self.assertEqual(len(self.downs(rondo)), 1)

    def test_two_that_break_together_after_it_take_a_few_more(self):
        """The first one after three, the second one when half of what it answered last has failed."""
        fleet = self.fleet(4, lambda name, number, _method:
                           self.BAD if name < 2 and number >= self.HISTORY else self.GOOD)
        with self.rondo(*fleet) as rondo:
            requests = 4 * self.HISTORY + 80
            self.assertEqual(self.ask(self.client(rondo), requests), [b"200"] * requests)
        self.assertEqual(sorted(self.asked[:2]), [self.HISTORY + 3, self.HISTORY + 8])

    def test_one_silence_past_max_delay_response_is_enough_after_it(self):
        over = threading.Event()
        fleet = self.fleet(3, lambda name, number, _method:
                           self.BAD if name == 0 and number >= self.HISTORY else self.GOOD)
        loud = self.answer

        def silent_when_bad(peer, status):
            if status == self.BAD:
                over.wait(PATIENCE)
            loud(peer, status)

        self.answer = silent_when_bad
        with self.rondo(*fleet, settings=["max_delay_response=200ms"]) as rondo:
            self.assertEqual(self.ask(self.client(rondo), 100), [b"200"] * 100)
            over.set()
        self.assertEqual(self.asked[0], self.HISTORY + 1)

    def test_a_ring_whose_backends_fail_now_and_then_stays_whole(self):
        """One in fifty of each; every one of them falls through."""
        requests = 1200
        fleet = self.fleet(4, lambda name, number, _method:
                           self.BAD if (number + 13 * name) % 50 == 20 else self.GOOD)
        with self.rondo(*fleet) as rondo:
            self.assertEqual(self.ask(self.client(rondo), requests), [b"200"] * requests)
        self.assertEqual(self.downs(rondo), [])
        self.assertLess(max(self.asked), 0.3 * requests)

    def test_an_outage_that_all_share_leaves_all_up(self):
        """They fail more often than the budget for retries lasts."""
        broken = threading.Event()
        fleet = self.fleet(4, lambda _name, _number, _method: self.BAD if broken.is_set() else self.GOOD)
        with self.rondo(*fleet, settings=["retry.budget=0"]) as rondo:
            client = self.client(rondo)
            self.ask(client, 40)
            broken.set()
            self.assertEqual(set(self.ask(client, 300) + self.ask(client, 30, POST)), {b"500"})
            broken.clear()
            before = list(self.asked)
            self.assertEqual(self.ask(client, 40), [b"200"] * 40)
            self.assertEqual([now - then for now, then in zip(self.asked, before)], [10] * 4)
        self.assertEqual(self.downs(rondo), [])

    def test_with_the_budget_used_up_a_request_that_fails_everywhere_marks_nobody(self):
        """Others are answered meanwhile."""
        fleet = self.fleet(4, lambda _name, _number, method: self.BAD if method == b"DELETE" else self.GOOD)
        with self.rondo(*fleet, settings=["retry.budget=0"]) as rondo:
            poison, other = self.client(rondo), self.client(rondo)
            for _ in range(200):
                self.assertEqual(self.ask(poison, 1, GET.replace(b"GET", b"DELETE")), [b"500"])
                self.assertEqual(self.ask(other), [b"200"])
        self.assertEqual(self.downs(rondo), [])


class Once(Fleet):
    """Requests that are not repeated are compared by how the ring does with such requests."""

    def test_posts_that_fail_everywhere_mark_nobody(self):
        fleet = self.fleet(3, lambda _name, _number, method: self.BAD if method == b"POST" else self.GOOD)
        for gets in (0, 1):
            with self.subTest(gets=gets), self.rondo(*fleet) as rondo:
                client = self.client(rondo)
                for _ in range(30):
                    self.assertEqual(self.ask(client, 1, POST), [b"500"])
                    self.ask(client, gets)
                self.assertEqual(self.ask(client, 9), [b"200"] * 9)
                self.assertEqual(self.downs(rondo), [])

    def test_a_backend_that_is_broken_for_post_only_goes_after_three_while_others_answer_theirs(self):
        """What it does with GETs says nothing about that."""
        failed = []

        def rule(name, _number, method):
            if name == 0 and method == b"POST":
                failed.append(name)
                return self.BAD
            return self.GOOD

        with self.rondo(*self.fleet(3, rule)) as rondo:
            client = self.client(rondo)
            for _ in range(5):
                self.assertEqual(self.ask(client, 3), [b"200"] * 3)
                self.ask(client, 3, POST)
            self.assertEqual(self.ask(client, 3, POST), [b"200"] * 3)
        self.assertEqual(len(failed), 3)
        self.assertEqual(len(self.downs(rondo)), 1)

    def test_with_one_try_only_all_requests_are_such(self):
        fleet = self.fleet(3, lambda name, _number, _method: self.BAD if name == 0 else self.GOOD)
        with self.rondo(*fleet, settings=["retry.tries=1"]) as rondo:
            self.assertEqual(self.ask(self.client(rondo), 30).count(b"500"), 3)
        self.assertEqual(self.asked[0], 3)

    def test_one_that_cuts_off_what_is_got_from_it_goes_after_three_while_others_end_theirs(self):
        """What it does with POSTs says nothing about that."""
        cut = []

        def script(peer, _number):
            with contextlib.suppress(EOFError, OSError):
                while not peer.read_head().startswith(b"GET"):
                    peer.read(1)
                    self.answer(peer, self.GOOD)
                cut.append(peer)
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwo")

        fleet = self.fleet(2, lambda _name, _number, _method: self.GOOD)
        with self.rondo(self.backend(script), *fleet) as rondo:
            for _ in range(5):
                for request in (GET, GET, GET, POST, POST, POST):
                    client = self.client(rondo)
                    client.send(request.replace(b"Host", b"Connection: close\r\nHost"))
                    client.read_to_end()
            self.let_it_turn(rondo)
        self.assertEqual(len(cut), 3)
        self.assertEqual(len(self.downs(rondo)), 1)


if __name__ == "__main__":
    raw.main(__doc__)
