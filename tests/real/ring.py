"""The story rondo grew from, with three uvicorn applications: in turn, one that fails every other
request, one that is too slow, one that is killed and comes back. No client sees any of it."""

import http.client
import json
import time

import servers
from rondo import Rondo
from waiting import PATIENCE

LONG = ["max_delay_response=500ms", "retry_window=5m", "retry_window_max=5m",
        "retry.budget=100"]
SHORT = ["max_delay_response=500ms", "retry_window=200ms", "retry_window_max=200ms",
         "retry.budget=100"]


def ask(port, path="/"):
    """(status, x-app-url)"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.getheader("x-app-url")


def asked(server):
    """How many requests to / the application has had."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/asked")
    times = json.load(connection.getresponse())["times"]
    connection.close()
    return times


def answers(rondo, count):
    return [ask(rondo.port) for _ in range(count)]


def complaint(seen, allowed):
    """Empty when all were 200 from allowed backends."""
    bad = [one for one in seen if one[0] != 200 or one[1] not in allowed]
    return f"{bad[0]} among {len(seen)}" if bad else ""


def comes_back(rondo, server, seen):
    """Asks until the backend answers again; all answers are put into `seen`."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        seen.append(ask(rondo.port))
        if seen[-1][1] == server.url:
            return True
        time.sleep(0.02)
    return False


def in_turn(binary, report, apps):
    urls = [app.url for app in apps]
    with Rondo(binary, urls, LONG) as rondo:
        seen = [url for _, url in answers(rondo, 9)]
        report.check("three backends answer in turn", "" if seen == urls * 3 else f"{seen}")


def one_fails(binary, report, first, failing, third):
    urls = [first.url, failing.url, third.url]
    with Rondo(binary, urls, LONG) as rondo:
        seen = answers(rondo, 30)
        report.check("a backend that fails every other request: no client sees it",
                     complaint(seen, urls))
        after = [url for _, url in seen[6:]]
        report.check("it is skipped after its first failure", "" if failing.url not in after
                     and asked(failing) <= 2 else f"asked {asked(failing)} times")
    with Rondo(binary, urls, SHORT) as rondo:
        seen = []
        back = all(comes_back(rondo, failing, seen) and bool(seen.extend(answers(rondo, 6)) or True)
                   for _ in range(3))
        report.check("it comes back after its window, and again",
                     complaint(seen, urls) or ("" if back else "it did not"))


def one_is_slow(binary, report, first, slow, third):
    with Rondo(binary, [first.url, slow.url, third.url], LONG) as rondo:
        seen = answers(rondo, 12)
        report.check("a backend that is too slow: the next one answers",
                     complaint(seen, [first.url, third.url]))
        report.check("one request has waited for it, the others did not",
                     "" if asked(slow) == 1 else f"asked {asked(slow)} times")
        report.check("the second answer came from the third backend",
                     "" if seen[1][1] == third.url else f"{seen[1]}")


def one_is_killed(binary, report, apps):
    urls = [app.url for app in apps]
    with Rondo(binary, urls, SHORT) as rondo:
        seen = answers(rondo, 3)
        apps[1].kill()
        left = answers(rondo, 12)
        report.check("a backend is killed: no client sees it",
                     complaint(seen, urls) or complaint(left, [urls[0], urls[2]]))
        apps[1].start()
        seen = []
        back = comes_back(rondo, apps[1], seen)
        report.check("started again, it is used again",
                     complaint(seen, urls) or ("" if back else "it was not"))


def play(binary, report):
    apps = [servers.uvicorn() for _ in range(3)]
    failing, slow = servers.uvicorn("alterfailed"), servers.uvicorn("timeout")
    try:
        in_turn(binary, report, apps)
        one_fails(binary, report, apps[0], failing, apps[2])
        one_is_slow(binary, report, apps[0], slow, apps[2])
        one_is_killed(binary, report, apps)
    finally:
        for server in (*apps, failing, slow):
            server.kill()
