#!/usr/bin/env python3
"""usage: test_blame.py RONDO

Conversations in which something fails, and it matters who is held to be at fault.
"""

import threading

import raw
from raw import PATIENCE


class Blame(raw.Conversation):
    def expect_nobody_is_down(self, rondo):
        self.let_it_turn(rondo)
        self.assertEqual([line for line in rondo.lines if " is down: " in line], [])


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
            self.expect_nobody_is_down(rondo)


if __name__ == "__main__":
    raw.main(__doc__)
