#!/usr/bin/env python3
"""test_page.py RONDO - the page in a real browser: a backend goes down before one's eyes and comes back.

Needs Debian's chromium and chromium-driver; without them it says so and skips.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import browser  # noqa: E402
from place import ModeBackend, Place  # noqa: E402
from ports import free_port  # noqa: E402
from report import Report  # noqa: E402
from rondo import binary_from_arguments  # noqa: E402
from waiting import wait_until  # noqa: E402

BINARY = binary_from_arguments(__doc__)
STATE = "return [...document.querySelectorAll('.backend')].map((row) => " \
        "row.dataset.name + ' ' + row.querySelector('.pill').innerText + ' ' + row.querySelector('.state').innerText)"


def a_backend_goes_down_and_comes_back_on_the_page():
    good = ModeBackend()
    port = free_port()
    name = f"127.0.0.1:{port}"
    with Place(BINARY, [good.url, "http://" + name], ["retry_window=1s"]) as place, \
            browser.Browser() as page:
        page.open(f"http://127.0.0.1:{place.admin_port}/")
        wait_until("the start", lambda: page.text("#summary") == "all 2 backends up")
        for _ in range(4):
            place.client()
        wait_until("the summary tells", lambda: page.text("#summary") == "1 of 2 backends up")
        wait_until("the row says why, and what comes next", lambda: any(
            name + " down" in row and "connection refused" in row and "next try in" in row
            for row in page.run(STATE)))
        wait_until("the event is there", lambda: "connection refused" in page.text("#events"))
        wait_until("the failure is counted", lambda: "connection refused" in page.text("#failures"))
        assert page.run("return document.querySelectorAll('#ring .node.down').length") == 1
        late = ModeBackend(port=port)
        wait_until("the trial is shown", lambda: any(name + " trial" in row for row in page.run(STATE)))
        for _ in range(4):
            place.client()
        wait_until("it is back", lambda: page.text("#summary") == "all 2 backends up")
        wait_until("and that is told", lambda: "trial succeeded" in page.text("#events"))
        assert page.run("return document.querySelectorAll('#ring .node.up').length") == 2
        assert page.run("return performance.getEntriesByType('resource').every("
                        "(one) => one.name.startsWith(location.origin) || one.name.startsWith('data:'))")
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        place.rondo.stop()
        wait_until("rondo is gone, and the page says so", lambda: "does not answer" in page.text("#trouble"))
        late.close()


def nothing_overflows_on_a_phone():
    good = ModeBackend()
    with Place(BINARY, [good.url, f"http://127.0.0.1:{free_port()}"]) as place, \
            browser.Browser(width=360, height=740, dark=True) as page:
        place.client()
        place.client()
        page.open(f"http://127.0.0.1:{place.admin_port}/")
        wait_until("the page", lambda: page.text("#summary"))
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        dark = page.run("return getComputedStyle(document.body).backgroundColor")
        assert dark == "rgb(18, 23, 26)", dark


def without_a_script_there_are_tables():
    bad = f"127.0.0.1:{free_port()}"
    with Place(BINARY, ["http://" + bad]) as place, browser.Browser(script=False) as page:
        place.client()
        page.open(f"http://127.0.0.1:{place.admin_port}/")
        assert '<div id="page" hidden' in page.source(), "a script ran"
        text = page.text(".plain")
        for part in (bad, "down", "connection refused", "0 of 1 backends up"):
            assert part in text, text


def main():
    report = Report(quiet=False)
    wanting = browser.missing()
    for test in (a_backend_goes_down_and_comes_back_on_the_page, nothing_overflows_on_a_phone,
                 without_a_script_there_are_tables):
        if wanting:
            report.skip(test.__name__.replace("_", " "), f"{wanting} is not installed")
        else:
            report.run(test)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
