"""What clients notice of backends that fail: rondo beside nginx and HAProxy.

killed, stopped, 500, late: three backends and a steady 2,000 requests a second. After a while backend 2 is killed,
stopped (SIGSTOP), answers 500 or answers 3 s late; later it is well again. Counted: answers that were no good, how long
the slowest took (from when the request was due), what was still sent to the bad backend (its own count; none can be had
of one that is dead), and how long it took from its recovery to its first request. poison: the same backends with 5 % of
requests for a URL that every backend answers with 500: how many of the others are lost.

flaky, outage, broken: four backends and 400 requests a second, which leaves all three proxies idle most of the time.
Counted besides: the share that the busiest backend had of the good answers, by the backends' own counts; 25 % is even.
  flaky   Each backend answers one request in a hundred with 500, at random.
  outage  All answer 500 for 3 s, as when they share a database, and then are well: the share is that of the 3 s that
          follow; errors and times are those of requests that were due after the recovery.
  broken  Backend 2 is well for a third of the run and answers 500 from then on: what was sent to it in the 4 s that
          follow, which is enough for each proxy to take it out.

frozen, gone, late3s, pauses, all-frozen, overload, slow-url, well: three backends and 2,000 requests a second, or 400
(frozen-400, gone-400, late3s-400, pauses-400, well-400 and slow-url), with least_conn of nginx and leastconn of HAProxy as
proxies of their own, and rondo with silence.after = "off", where it knows that.
  frozen      Backend 2 is stopped (SIGSTOP) for three eighths of the run.
  gone        It is on a host of its own (a network namespace), which has no address for as long.
  late3s      It answers 3 s late for as long.
  pauses      It is stopped for 120 ms in every second.
  all-frozen  All three are stopped for 1.5 s.
  overload    Each can answer 500 requests a second, one after the other; they get 110 % of that.
  slow-url    3 % of the requests ask for a URL that takes 300 ms, which is not counted.
  well        Nothing happens; also with rondo's balance = "adaptive". As the only case it lasts for 50 s: 100,000 requests.
Counted: answers over 60 ms and over 0.9 s, good answers a second up to the end of the run, and how many more requests the
backends got than the clients asked. What rondo says of itself: rescues (requests that it also sent to a second backend)
that were won and lost, those that were refused, and how often it found a backend silent. With well and well-400 among the
cases, the answers over 60 ms of those stand beside (when well); uneven is by how many requests the backends' counts differ
in them, which is at most 1 where turns are strict.

nginx and HAProxy are told what their manuals have for this: an answer must begin within a second, errors and 5xx are
tried again elsewhere, and a failed backend is looked at again after about two seconds; in `broken` after about ten, so
that nobody has to in the time that counts. With three backends rondo is told the same; with four it is told nothing,
and looks again after ten seconds.
"""

import argparse
import collections
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import hosts
import proxies
from ports import free_port  # proxies knows where it is

NGINX_LOCATION = ("proxy_next_upstream error timeout http_500 http_502 http_503 http_504; "
                  "proxy_connect_timeout 1s; proxy_read_timeout 1s;")
HAPROXY_PARTS = {
    "options": "timeout server 1s\n  retries 3\n  option redispatch 1\n"
               "  retry-on all-retryable-errors",
    "back": "option httpchk GET /check\n  default-server check inter 1s fall 2 rise 2 observe layer7 "
            "error-limit 3 on-error mark-down",
}
# Settings of rondo, and what nginx and HAProxy are told of each backend.
Told = collections.namedtuple("Told", "rondo nginx haproxy")
TWO_SECONDS = Told(["max_delay_response=1s", "retry_window=2s", "retry_window_max=2s"],
                   "max_fails=1 fail_timeout=2s", "")
RONDO_NOTHING = TWO_SECONDS._replace(rondo=[])
TEN_SECONDS = Told([], "max_fails=1 fail_timeout=10s", "downinter 10s")
OUTAGE_S = AFTER_OUTAGE_S = 3
BROKEN_S = 4


class Backend:
    """An origin that fails on demand, and `bad` percent of the time without."""

    def __init__(self, house, bad, service_us=0, place=None):
        self.house = house
        self.place = place
        self.server = house.origin(1, bad=bad, service_us=service_us, place=place)
        self.port = self.server.port
        self.endpoint = f"{place.address if place else '127.0.0.1'}:{self.port}"

    def ask(self, target):
        with urllib.request.urlopen(f"http://{self.endpoint}{target}", timeout=5) as answer:
            return int(answer.read())

    def count(self):
        return self.ask("/count")

    def good(self):
        return self.ask("/good")

    def signal(self, number):
        self.server.signal(number)

    def fail(self, fault):
        if fault == "killed":
            self.server.kill()
        elif fault == "stopped":
            self.signal(signal.SIGHUP)
            time.sleep(0.01)
            self.signal(signal.SIGSTOP)
        else:
            self.signal(signal.SIGUSR2 if fault == "late" else signal.SIGUSR1)

    def revive(self, fault):
        """Returns the requests that it got while it failed; None when nobody could count them."""
        count = None
        if fault == "killed":
            self.house.servers.remove(self.server)
            self.server = self.house.origin(1, self.port)
        elif fault == "stopped":
            self.signal(signal.SIGCONT)
            count = self.count()
            self.signal(signal.SIGHUP)
        else:
            count = self.count()
            self.signal(signal.SIGHUP)
        return count

    def first_use_s(self, limit_s):
        began = time.monotonic()
        while time.monotonic() - began < limit_s:
            if self.count() > 0:
                return time.monotonic() - began
            time.sleep(0.02)
        return None


def busiest(backends):
    """The good answers of each since the last signal, and the percentage of whoever gave most."""
    good = [backend.good() for backend in backends]
    return {"good": good, "busiest": 100 * max(good) / sum(good) if any(good) else None}


class Load:
    """A proxy at work: clients that ask so many times a second, for the time the case has."""

    def __init__(self, house, proxy, rate, seconds, more=()):
        self.house = house
        self.more = more  # options of drive
        self.proxy = proxy
        self.rate = rate
        self.seconds = seconds

    def begin(self, seconds, *more):
        return subprocess.Popen(  # pylint: disable=consider-using-with
            self.house.pin + [self.house.tools + "/drive", "--port", str(self.proxy.port), "--connections", "4000",
                              "--warm-ms", "0", "--rate", str(self.rate), "--run-ms", str(int(seconds * 1000)), *more],
            stdout=subprocess.PIPE, text=True)

    @staticmethod
    def end(clients):
        """Waits for the last answer; what the clients saw."""
        result = json.loads(clients.communicate()[0])
        return {"errors": result["errors"], "answers": result["requests"], "p50_ms": result["p50_us"] / 1000,
                "p99_ms": result["p99_us"] / 1000, "p999_ms": result["p999_us"] / 1000, "max_ms": result["max_us"] / 1000,
                "over_60ms": result["over_60ms"], "over_900ms": result["over_900ms"], "began": result["began"],
                "goodput": result["in_time"] / result["seconds"]}


# ---- the cases: each returns what was seen

def run_fault(fault, load, backends):
    clients = load.begin(load.seconds)
    time.sleep(load.seconds * 0.15)
    backends[1].fail(fault)
    time.sleep(load.seconds * 0.45)
    seen = {"sent_to_bad": backends[1].revive(fault)}
    seen["first_use_s"] = backends[1].first_use_s(load.seconds * 0.4 - 0.2)
    return {**seen, **load.end(clients)}


def run_poison(_, load, __):
    return load.end(load.begin(load.seconds, "--bad", "5"))


def run_flaky(_, load, backends):
    seen = load.end(load.begin(load.seconds))
    return {**seen, **busiest(backends)}


def run_outage(fault, load, backends):
    """Clients of their own begin at the recovery: an error of theirs is one that it should have ended."""
    well_s = load.seconds * 0.1
    clients = load.begin(well_s + OUTAGE_S)
    time.sleep(well_s)
    for backend in backends:
        backend.fail(fault)
    time.sleep(OUTAGE_S)
    for backend in backends:
        backend.revive(fault)
    clients_after = load.begin(load.seconds - well_s - OUTAGE_S)
    time.sleep(AFTER_OUTAGE_S)
    seen = busiest(backends)
    seen["errors_before"] = load.end(clients)["errors"]
    return {**seen, **load.end(clients_after)}


def run_broken(fault, load, backends):
    clients = load.begin(load.seconds)
    time.sleep(load.seconds / 3)
    backends[1].fail(fault)
    time.sleep(BROKEN_S)
    seen = {"sent_to_bad": backends[1].count()}
    return {**seen, **load.end(clients)}


def freeze(backends, seconds):
    for backend in backends:
        backend.signal(signal.SIGSTOP)
    time.sleep(seconds)
    for backend in backends:
        backend.signal(signal.SIGCONT)


def do_frozen(load, backends):
    time.sleep(load.seconds / 4)
    freeze(backends[1:2], load.seconds * 3 / 8)


def do_gone(load, backends):
    time.sleep(load.seconds / 4)
    backends[1].place.go()
    time.sleep(load.seconds * 3 / 8)
    backends[1].place.come()


def do_late(load, backends):
    time.sleep(load.seconds / 4)
    before = backends[1].count()
    backends[1].signal(signal.SIGUSR2)
    time.sleep(load.seconds * 3 / 8)
    before += backends[1].count()
    backends[1].signal(signal.SIGHUP)
    return before


def do_pauses(load, backends):
    end = time.monotonic() + load.seconds - 1
    while time.monotonic() < end:
        time.sleep(0.88)
        freeze(backends[1:2], 0.12)


def do_all_frozen(load, backends):
    time.sleep(load.seconds / 4)
    freeze(backends, 1.5)


def run_silence(fault, load, backends):
    """The backends' own counts are those of the whole run."""
    acts = {"frozen": do_frozen, "gone": do_gone, "late3s": do_late, "pauses": do_pauses, "all-frozen": do_all_frozen}
    before = sum(backend.count() for backend in backends)
    clients = load.begin(load.seconds, *(["--slow", "3"] if fault == "slow-url" else []), *load.more)
    act = acts.get(fault.removesuffix("-400"))
    gone = act(load, backends) if act else 0
    seen = load.end(clients)
    asked = seen["began"]
    counts = [backend.count() for backend in backends]
    got = sum(counts) - before + (gone or 0)
    if fault.removesuffix("-400") == "well":
        seen["uneven"] = max(counts) - min(counts)
    return {**seen, "extra": 100 * (got - asked) / asked, **of_rondo(load.proxy)}


def of_rondo(proxy):
    """What it says of itself, if it is one."""
    if not getattr(proxy, "admin", None):
        return {}
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin}/status.json", timeout=5) as answer:
        status = json.loads(answer.read())
    rescues = {line.split('"')[1]: int(line.split()[1]) for line in lines if line.startswith("rondo_rescues_total{")}
    if not rescues:  # an older one
        return {}
    return {**{result: rescues.get(result) for result in ("won", "lost", "refused")},
            "silences": sum(backend.get("silences", 0) for backend in status["backends"])}


# How many backends, the percentage of bad answers of each, requests a second.
Case = collections.namedtuple("Case", "backends bad rate told run service_us", defaults=(0,))
CASES = {
    "killed": Case(3, 0, 2000, TWO_SECONDS, run_fault),
    "stopped": Case(3, 0, 2000, TWO_SECONDS, run_fault),
    "500": Case(3, 0, 2000, TWO_SECONDS, run_fault),
    "late": Case(3, 0, 2000, TWO_SECONDS, run_fault),
    "poison": Case(3, 0, 2000, TWO_SECONDS, run_poison),
    "flaky": Case(4, 1, 400, RONDO_NOTHING, run_flaky),
    "outage": Case(4, 0, 400, RONDO_NOTHING, run_outage),
    "broken": Case(4, 0, 400, TEN_SECONDS, run_broken),
    "frozen": Case(3, 0, 2000, TWO_SECONDS, run_silence),
    "frozen-400": Case(3, 0, 400, TWO_SECONDS, run_silence),
    "gone": Case(3, 0, 2000, TWO_SECONDS, run_silence),
    "gone-400": Case(3, 0, 400, TWO_SECONDS, run_silence),
    "late3s": Case(3, 0, 2000, TWO_SECONDS, run_silence),
    "late3s-400": Case(3, 0, 400, TWO_SECONDS, run_silence),
    "pauses": Case(3, 0, 2000, TWO_SECONDS, run_silence),
    "pauses-400": Case(3, 0, 400, TWO_SECONDS, run_silence),
    "all-frozen": Case(3, 0, 2000, TWO_SECONDS, run_silence),
    "overload": Case(3, 0, 1650, TWO_SECONDS, run_silence, 2000),
    "slow-url": Case(3, 0, 400, TWO_SECONDS, run_silence),
    "well": Case(3, 0, 2000, TWO_SECONDS, run_silence),
    "well-400": Case(3, 0, 400, TWO_SECONDS, run_silence),
}
WELL_ALONE_S = 50  # 100,000 requests
RONDO_KINDS = {"off": "silence.after=off", "adaptive": "balance=adaptive"}
OF_SILENCE = [case for case, what in CASES.items() if what.run is run_silence]


def start(house, name, options, ports, told):
    if name.startswith("nginx"):
        return house.nginx(ports, server=told.nginx, location=NGINX_LOCATION,
                           upstream="least_conn;" if name.endswith("least") else "")
    if name.startswith("haproxy"):
        parts = dict(HAPROXY_PARTS)
        if name.endswith("least"):
            parts["back"] = "balance leastconn\n  " + parts["back"]
        return house.haproxy(ports, server=told.haproxy, **parts)
    admin = free_port()
    settings = [*told.rondo, f"admin.http=127.0.0.1:{admin}"]
    if "-" in name:
        settings.append(RONDO_KINDS[name.split("-")[1]])
    rondo = house.rondo(options.rondo, ports, settings)
    rondo.admin = admin
    return rondo


def run(house, name, title, options):
    """One proxy through one case: a dictionary of what was seen."""
    if not title.startswith("gone"):
        return run_at(house, name, title, options, None)
    with hosts.Host() as place:
        return run_at(house, name, title, options, place)


def run_at(house, name, title, options, place):
    """`place` is where backend 2 is, if not here."""
    case = CASES[title]
    backends = [Backend(house, case.bad, case.service_us, place if number == 1 else None)
                for number in range(case.backends)]
    proxy = start(house, name, options, [backend.endpoint for backend in backends], case.told)
    more = ["--trace", f"{options.trace}.{title}.{name}"] if options.trace else []
    seen = case.run(title, Load(house, proxy, case.rate, options.seconds, more), backends)
    house.drop(proxy)
    for backend in backends:
        house.drop(backend.server)
    return seen


def names_for(case, peers, knows_silence):
    if case not in OF_SILENCE:
        return ["rondo", *peers]
    kinds = [*(["off"] if knows_silence else []), *(["adaptive"] if case.startswith("well") else [])]
    return ["rondo", *("rondo-" + kind for kind in kinds), *(name + kind for name in peers for kind in ("", "-least"))]


def cell(value):
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


COLUMNS = {"began": "requests", "errors": "errors", "errors_before": "before", "p50_ms": "p50, ms",
           "p99_ms": "p99, ms", "p999_ms": "p99.9, ms", "max_ms": "slowest, ms", "goodput": "good/s",
           "over_60ms": "over 60 ms", "quiet_60ms": "when well", "over_900ms": "over 0.9 s", "extra": "extra, %",
           "uneven": "uneven", "won": "won", "lost": "lost", "refused": "refused", "silences": "silences",
           "sent_to_bad": "sent to it", "first_use_s": "used again, s", "busiest": "busiest, %"}


def add_quiet(results):
    """Beside the answers over 60 ms: those of the same proxy in a run of the same rate in which nothing happened."""
    quiet = {CASES[well].rate: results[well] for well in ("well", "well-400") if well in results}
    for title, rows in results.items():
        for name, seen in rows.items():
            if title in OF_SILENCE and not title.startswith("well"):
                seen["quiet_60ms"] = quiet.get(CASES[title].rate, {}).get(name, {}).get("over_60ms")


def print_table(results):
    """One table for each case, with the columns that it has."""
    for fault, rows in results.items():
        columns = {key: title for key, title in COLUMNS.items()
                   if any(seen.get(key) is not None for seen in rows.values())}
        print(f"\n{fault:16}" + "".join(f"{title:>{len(title) + 2}}" for title in columns.values()))
        for name, seen in rows.items():
            print(f"{name:16}" + "".join(f"{cell(seen.get(key)):>{len(title) + 2}}" for key, title in columns.items()))


def main():
    parser = argparse.ArgumentParser(description="what clients notice of a failing backend")
    parser.add_argument("--tools", required=True)
    parser.add_argument("--rondo", required=True)
    parser.add_argument("--quick", action="store_true", help="7 seconds for each case instead of 20")
    parser.add_argument("--seconds", type=float, help="so many for each case")
    parser.add_argument("--only", default="", help=", ".join(CASES) + "; with commas")
    parser.add_argument("--json", default="")
    parser.add_argument("--trace", default="", help="leaves each answer in files whose names begin so; for freeze_picture.py")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was made is removed
    options.seconds = options.seconds or (7 if options.quick else 20)
    if options.only == "well":
        options.seconds = WELL_ALONE_S
    cases = options.only.split(",") if options.only else list(CASES)
    if not set(cases) <= set(CASES):
        parser.error("--only takes " + ", ".join(CASES))
    if {"gone", "gone-400"} & set(cases) and not hosts.can_make():
        cases = [case for case in cases if not case.startswith("gone")]
    peers = [name for name in ("nginx", "haproxy") if proxies.installed(name)]
    # An older one is measured as it is.
    knows_silence = subprocess.run([options.rondo, "-E", "silence.after"], check=False, capture_output=True).returncode == 0
    results = {}
    with tempfile.TemporaryDirectory(prefix="rondo-bench-") as work:
        os.chmod(work, 0o755)
        house = proxies.House(options.tools, work, None)
        try:
            for case in cases:
                results[case] = {}
                for name in names_for(case, peers, knows_silence):
                    results[case][name] = run(house, name, case, options)
                    print(f"   {case:10} {name:10} {results[case][name]}", flush=True)
        finally:
            house.close()
    add_quiet(results)
    print_table(results)
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump(results, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
