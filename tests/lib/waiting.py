"""Waiting for an event, with a limit. No test waits for time to pass instead."""

import time

PATIENCE = 40  # seconds for anything at all to happen; a test that needs them has failed


def wait_until(what, condition, limit=PATIENCE):
    """Waits until `condition` answers something true, and answers that. `what` is for the failure."""
    end = time.monotonic() + limit
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit} s")
        time.sleep(0.005)
