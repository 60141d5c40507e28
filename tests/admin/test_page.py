#!/usr/bin/env python3
"""test_page.py RONDO - the page in a real browser: a backend goes down before one's eyes and comes back.

Needs Debian's chromium and chromium-driver; without them it says so and skips.
"""

import os
import sys
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import browser  # noqa: E402
from harness import Report, binary_from_arguments, free_port  # noqa: E402
from place import Backend, Place, until  # noqa: E402

BINARY = binary_from_arguments(__doc__)
STATE = "return [...document.querySelectorAll('.backend')].map((row) => " \
        "row.dataset.name + ' ' + row.querySelector('.pill').innerText + ' ' + row.querySelector('.state').innerText)"


def a_backend_goes_down_and_comes_back_on_the_page():
    good = Backend()
    port = free_port()
    name = f"127.0.0.1:{port}"
    with Place(BINARY, [good.url, "http://" + name], ["retry_window=1s"]) as place, \
            browser.Browser() as page:
        page.open(f"http://127.0.0.1:{place.admin_port}/")
        until(lambda: page.text("#summary") == "all 2 backends up", "the start")
        for _ in range(4):
            place.client()
        until(lambda: page.text("#summary") == "1 of 2 backends up", "the summary tells")
        until(lambda: any(name + " down" in row and "connection refused" in row and "next try in" in row
                          for row in page.run(STATE)), "the row says why, and what comes next")
        until(lambda: "connection refused" in page.text("#events"), "the event is there")
        until(lambda: "connection refused" in page.text("#failures"), "the failure is counted")
        assert page.run("return document.querySelectorAll('#ring .node.down').length") == 1
        late = Backend(port=port)
        until(lambda: any(name + " trial" in row for row in page.run(STATE)), "the trial is shown")
        for _ in range(4):
            place.client()
        until(lambda: page.text("#summary") == "all 2 backends up", "it is back")
        until(lambda: "it answers again" in page.text("#events"), "and that is told")
        assert page.run("return document.querySelectorAll('#ring .node.up').length") == 2
        assert page.run("return performance.getEntriesByType('resource').every("
                        "(one) => one.name.startsWith(location.origin) || one.name.startsWith('data:'))")
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        assert place.rondo.stop() == ""
        until(lambda: "does not answer" in page.text("#trouble"), "rondo is gone, and the page says so")
        late.close()


def nothing_overflows_on_a_phone():
    good = Backend()
    with Place(BINARY, [good.url, f"http://127.0.0.1:{free_port()}"]) as place, \
            browser.Browser(width=360, height=740, dark=True) as page:
        place.client()
        place.client()
        page.open(f"http://127.0.0.1:{place.admin_port}/")
        until(lambda: page.text("#summary"), "the page")
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
        name = test.__name__.replace("_", " ")
        if wanting:
            report.skip(name, f"{wanting} is not installed")
            continue
        try:
            test()
            report.ok(name)
        except Exception:  # what went wrong is told, and the next one runs
            report.fail(name, traceback.format_exc())
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
