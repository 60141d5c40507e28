#!/usr/bin/env python3
"""usage: test_coming_back.py RONDO

Conversations with backends that are down, and how rondo finds out that they are back.
"""

import contextlib
import json
import threading
import time

import raw
from raw import PATIENCE, serve


class Probes(raw.Conversation):
    """rondo's own looks at a backend that is down, by GET where there is a path for that."""

    SETTINGS = ["health.path=/healthz", "health.interval=1h", "retry_window_max=1h"]

    def sick(self, ends_after):
        """A backend that fails its requests and, after the first of them, so many looks. When those were is in
        self.looks; self.is_checked is set by the one that every backend gets at the start."""
        self.looks = []
        self.is_checked, has_failed = threading.Event(), threading.Event()

        def script(peer, _number):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    is_look = b"/healthz" in peer.read_head()
                    is_good = is_look and (not has_failed.is_set() or len(self.looks) >= ends_after)
                    if is_look and has_failed.is_set():
                        self.looks.append(time.monotonic())
                    elif is_look:
                        self.is_checked.set()
                    else:
                        has_failed.set()
                    peer.send(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % (b"200 OK" if is_good else b"500 No"))

        return self.backend(script)

    def gaps(self, window, looks):
        """The times between two looks that fail."""
        sick = self.sick(looks)
        settings = [*self.SETTINGS, f"retry_window={window}ms"]
        with self.rondo(sick, self.backend(serve), settings=settings) as rondo:
            self.assertTrue(self.is_checked.wait(PATIENCE))
            began = time.monotonic()
            self.assertTrue(self.client(rondo).get()[0].startswith(b"HTTP/1.1 200 "))
            self.wait_for_line(rondo, f"backend {sick.url[7:]} is on trial")
            self.assertGreaterEqual(self.looks[0] - began, window / 1000)
        return [after - before for before, after in zip(self.looks, self.looks[1:])]

    def test_one_that_fails_repeats_every_second(self):
        gaps = self.gaps(1500, 2)
        self.assertEqual(len(gaps), 2)
        self.assertGreaterEqual(min(gaps), 0.99)
        self.assertLess(max(gaps), 2.5)  # twice the window, if it doubled

    def test_or_as_often_as_the_window_where_that_is_shorter(self):
        gaps = self.gaps(100, 6)
        self.assertEqual(len(gaps), 6)
        self.assertGreaterEqual(min(gaps), 0.099)
        self.assertLess(sum(gaps), 3)  # more than 12, if it doubled

    def test_they_do_not_lengthen_the_window_that_a_failed_trial_doubles(self):
        sick = self.sick(4)
        name = f"backend {sick.url[7:]}"
        settings = [*self.SETTINGS, "retry_window=100ms"]
        with self.rondo(sick, self.backend(serve), settings=settings) as rondo:
            self.assertTrue(self.is_checked.wait(PATIENCE))
            client = self.client(rondo)
            client.get()
            self.wait_for_line(rondo, f"{name} is down: status 500 (100 ms)")
            self.wait_for_line(rondo, f"{name} is on trial")
            for _ in range(2):
                self.assertTrue(client.get()[0].startswith(b"HTTP/1.1 200 "))
            self.wait_for_line(rondo, f"{name} is down: status 500 (200 ms)")

    def test_nor_do_connects_that_are_refused(self):
        with self.watched("unix:/nonexistent/socket", self.backend(serve), settings=[
                "retry_window=50ms", "retry_window_max=1h"]) as (rondo, page):
            self.assertTrue(self.client(rondo).get()[0].startswith(b"HTTP/1.1 200 "))

            def first():
                return json.loads(page("/status.json"))["backends"][0]

            self.wait_until(lambda: sum(first()["failures"].values()) > 4)
            self.assertEqual(first()["window"], 0.05)


if __name__ == "__main__":
    raw.main(__doc__)
