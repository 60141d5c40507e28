"""What clients notice when one of three backends fails: rondo beside nginx and HAProxy.

A steady 2,000 requests a second. After a while backend 2 is killed, stopped (SIGSTOP), answers 500 or answers 3 s late;
later it is well again. Counted: answers that were no good, how long the slowest took (from when the request was due),
what was still sent to the bad backend (its own count; none can be had of one that is dead), and how long it took from its
recovery to its first request. Then the same with 5 % of requests for a URL that every backend answers with 500: how
many of the others are lost.

Each proxy is told what its manual has for this: an answer must begin within a second, errors and 5xx are tried again
elsewhere, and a failed backend is looked at again after about two seconds.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import proxies

RATE = 2000
NGINX_LOCATION = ("proxy_next_upstream error timeout http_500 http_502 http_503 http_504; "
                  "proxy_connect_timeout 1s; proxy_read_timeout 1s;")
HAPROXY_PARTS = {
    "options": "timeout server 1s\n  retries 3\n  option redispatch 1\n"
               "  retry-on all-retryable-errors",
    "back": "option httpchk GET /check\n  default-server check inter 1s fall 2 rise 2 observe layer7 "
            "error-limit 3 on-error mark-down",
}
RONDO = ["max_delay_response=1s", "retry_window=2s", "retry_window_max=2s"]
FAULTS = ["killed", "stopped", "500", "late"]


class Backend:
    """An origin that fails on demand."""

    def __init__(self, house):
        self.house = house
        self.server = house.origin(1)
        self.port = self.server.port

    def count(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/count", timeout=5) as answer:
            return int(answer.read())

    def signal(self, number):
        os.kill(self.server.pid, number)

    def fail(self, fault):
        if fault == "killed":
            self.server.process.kill()
            self.server.process.wait()
        elif fault == "stopped":
            self.signal(signal.SIGHUP)
            time.sleep(0.01)
            self.signal(signal.SIGSTOP)
        else:
            self.signal(signal.SIGUSR1 if fault == "500" else signal.SIGUSR2)

    def revive(self, fault):
        """Returns the requests that it got while it failed; None when nobody could count them."""
        count = None
        if fault == "killed":
            self.house.servers.remove(self.server)
            self.server = self.house.keep(proxies.Printer(
                "origin", self.house.pin + [self.house.tools + "/origin", "1", str(self.port)], 1))
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


def start(house, name, options, ports):
    if name == "nginx":
        return house.nginx(ports, server="max_fails=1 fail_timeout=2s", location=NGINX_LOCATION)
    if name == "haproxy":
        return house.haproxy(ports, **HAPROXY_PARTS)
    return house.rondo(options.rondo, ports, RONDO)


def drive(house, proxy, seconds, *more):
    return subprocess.Popen(  # pylint: disable=consider-using-with
        house.pin + [house.tools + "/drive", "--port", str(proxy.port), "--connections", "4000", "--warm-ms", "0",
                     "--rate", str(RATE), "--run-ms", str(int(seconds * 1000)), *more],
        stdout=subprocess.PIPE, text=True)


def run(house, name, fault, options):
    """One proxy through one fault: a dictionary of what was seen."""
    backends = [Backend(house) for _ in range(3)]
    proxy = start(house, name, options, [backend.port for backend in backends])
    load = drive(house, proxy, options.seconds, *(["--bad", "5"] if fault == "poison" else []))
    seen = {}
    if fault != "poison":
        time.sleep(options.seconds * 0.15)
        backends[1].fail(fault)
        time.sleep(options.seconds * 0.45)
        seen["sent_to_bad"] = backends[1].revive(fault)
        seen["first_use_s"] = backends[1].first_use_s(options.seconds * 0.4 - 0.2)
    result = json.loads(load.communicate()[0])
    seen.update(errors=result["errors"], answers=result["requests"], p999_ms=result["p999_us"] / 1000,
                max_ms=result["max_us"] / 1000)
    house.drop(proxy)
    for backend in backends:
        house.drop(backend.server)
    return seen


def cell(value):
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def print_table(results):
    columns = [("errors", "errors"), ("p999_ms", "p99.9, ms"), ("max_ms", "slowest, ms"),
               ("sent_to_bad", "sent to it"), ("first_use_s", "used again, s")]
    print(f"\n{'backend 2 is':14}{'':12}" + "".join(f"{title:>16}" for _, title in columns))
    for fault, rows in results.items():
        for name, seen in rows.items():
            print(f"{fault:14}{name:12}" + "".join(f"{cell(seen.get(key)):>16}" for key, _ in columns))


def main():
    parser = argparse.ArgumentParser(description="what clients notice of a failing backend")
    parser.add_argument("--tools", required=True)
    parser.add_argument("--rondo", required=True)
    parser.add_argument("--quick", action="store_true", help="7 seconds for each case instead of 20")
    parser.add_argument("--only", default="", help="killed, stopped, 500, late, poison; with commas")
    parser.add_argument("--json", default="")
    options = parser.parse_args()
    options.seconds = 7 if options.quick else 20
    faults = options.only.split(",") if options.only else FAULTS + ["poison"]
    names = ["rondo"] + [name for name in ("nginx", "haproxy") if proxies.installed(name)]
    results = {}
    with tempfile.TemporaryDirectory(prefix="rondo-bench-") as work:
        os.chmod(work, 0o755)
        house = proxies.House(options.tools, work, None)
        try:
            for fault in faults:
                results[fault] = {}
                for name in names:
                    results[fault][name] = run(house, name, fault, options)
                    print(f"   {fault:10} {name:10} {results[fault][name]}", flush=True)
        finally:
            house.close()
    print_table(results)
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump(results, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
