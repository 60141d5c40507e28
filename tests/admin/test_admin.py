#!/usr/bin/env python3
"""test_admin.py RONDO - what is seen from outside: admin.http, admin.socket, rondoctl and the logs.

Every state and every reason for which a backend goes down is brought about once, and looked for in the
page, in JSON, in the metrics, in both logs and in `rondoctl why`. promtool, goaccess and jq check
what is theirs where they are installed.
"""

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from backends import EchoBackend  # noqa: E402
from clients import Client, request  # noqa: E402
from place import ModeBackend, Place, failing_backend, resize  # noqa: E402
from ports import free_port  # noqa: E402
from report import Report, Skip  # noqa: E402
from rondo import binary_from_arguments, write_config  # noqa: E402
from waiting import wait_until  # noqa: E402

BINARY = binary_from_arguments(__doc__)
HERE = os.path.dirname(os.path.abspath(__file__))
FOR_ANY_HOST = ("/metrics", "/healthz", "/readyz")
ENDPOINTS = {
    "/": "text/html",
    "/status.json": "application/json",
    "/events.json": "application/json",
    "/metrics": "text/plain; version=0.0.4",
    "/healthz": "text/plain",
    "/readyz": "text/plain",
}


def equal(got, wanted, what):
    assert got == wanted, f"{what}: {got!r}, not {wanted!r}"


def need(program, package=""):
    if not shutil.which(program):
        raise Skip(f"{program} is not installed" + (f" (Debian: {package})" if package else ""))


def contains(text, part, what):
    assert part in text, f"{what}: no {part!r} in:\n{text}"


# ---- HTTP -------------------------------------------------------------------------------------------


def every_endpoint_answers_get_and_head():
    good = ModeBackend()
    with Place(BINARY, [good.url]) as place:
        for path, kind in ENDPOINTS.items():
            status, fields, content = place.admin(path)
            equal(status, 200, path)
            contains(fields["content-type"], kind, path)
            equal(int(fields["content-length"]), len(content), path)
            equal(fields["x-content-type-options"], "nosniff", path)
            status, fields, content = place.admin(path + "?x=1", "HEAD")
            equal((status, content), (200, b""), "HEAD " + path)
            assert int(fields["content-length"]) > 0
        equal(place.admin("/nothing")[0], 404, "another path")


def the_manual_names_every_member_of_status_json():
    with open(os.path.join(HERE, "..", "..", "conf", "rondo.conf.5"), encoding="utf-8") as stream:
        manual = stream.read().partition(".Sh STATUS")[2].partition("\n.Sh ")[0]
    named = {word.strip(",;.") for line in manual.splitlines() if " Cm " in line or line.startswith(".Cm ")
             for word in line.split()}
    good = ModeBackend()
    with Place(BINARY, [good.url]) as place:
        status = json.loads(place.admin("/status.json")[2])
    members = set(status)
    for key, value in status.items():
        for part in value if isinstance(value, list) else [value]:
            members |= set(part) if isinstance(part, dict) else set()
    equal(sorted(members - named), [], "members that the manual does not name")


def nothing_but_get_and_head_is_answered():
    good = ModeBackend()
    with Place(BINARY, [good.url]) as place:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            status, fields, _ = place.admin("/status.json", method)
            equal(status, 405, method)
            equal(fields["allow"], "GET, HEAD", method)
        equal(place.admin("/status.json", "POST", content=b"x" * 100000)[0], 405, "POST with content")
        equal(place.admin("/", "BREW")[0], 405, "a method that nobody knows")


def only_addresses_and_localhost_are_hosts():
    good = ModeBackend()
    cases = {
        "localhost": 200, "LOCALHOST:9180": 200, "127.0.0.1": 200, "[::1]:80": 200, "10.1.2.3:1": 200,
        "example.org": 421, "localhost.example.org": 421, "127.0.0.1.example.org": 421,
        "1": 421, "evil:80": 421, "rondo.example.org": 421,
    }
    with Place(BINARY, [good.url]) as place:
        for host, wanted in cases.items():
            for path in ENDPOINTS:
                equal(place.admin(path, host=host)[0], 200 if path in FOR_ANY_HOST else wanted,
                      f"{host} {path}")


def admin_hosts_are_hosts_too():
    good = ModeBackend()
    cases = {
        "localhost": 200, "127.0.0.1": 200, "rondo.example.org": 200, "RONDO.Example.org.:9180": 200,
        "proxy-1:80": 200, "example.org": 421, "a.rondo.example.org": 421, "proxy-11": 421,
    }
    with Place(BINARY, [good.url], ["admin.hosts=rondo.example.org,proxy-1"]) as place:
        for host, wanted in cases.items():
            for path in ("/", "/status.json", "/events.json"):
                equal(place.admin(path, host=host)[0], wanted, f"{host} {path}")


def exchange(place, request):
    """All that comes back for some bytes."""
    with Client(place.admin_port) as client:
        client.send(request)
        client.shutdown(socket.SHUT_WR)
        return client.read_to_end()


def connections_go_on_and_broken_requests_end_them():
    good = ModeBackend()
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with Place(BINARY, [good.url]) as place:
        equal(exchange(place, get * 5).count(b"HTTP/1.1 200 OK"), 5, "pipelined requests")
        equal(exchange(place, b"GET /healthz HTTP/1.0\r\n\r\n").count(b"Connection: close"), 1, "1.0")
        contains(exchange(place, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
                 b"Connection: keep-alive", "1.0 that stays")
        for request, wanted in (
                (b"GET / HTTP/1.1\r\n\r\n", b" 400 "), (b"\x00\x01\r\n\r\n", b" 400 "),
                (b"GET / HTTP/2.0\r\n\r\n", b" 505 "),
                (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40000 + b"\r\n\r\n", b" 431 "),
                (b"GET /" + b"x" * 12000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 414 ")):
            answer = exchange(place, request + get)
            contains(answer.split(b"\r\n")[0], wanted, repr(request[:40]))
            equal(answer.count(b"Content-Length: "), 1, "what comes after a broken request is not read")


def idle_connections_make_room_and_the_proxy_does_not_care():
    good = ModeBackend()
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with Place(BINARY, [good.url]) as place:
        held = []
        for _ in range(100):
            client = Client(place.admin_port)
            client.send(get)
            contains(client.recv(4096), b" 200 ", "one more connection")
            held.append(client)
        equal(place.client(), 200, "the proxy")
        for client in held:
            client.close()
        wait_until("answers afterwards", lambda: place.admin("/healthz")[0] == 200)


def answers_reach_a_slow_reader_whole():
    good = [ModeBackend() for _ in range(12)]
    with Place(BINARY, [one.url for one in good]) as place:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.settimeout(30)
            client.connect(("127.0.0.1", place.admin_port))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            got = b""
            while part := client.recv(700):
                got += part
        head, _, content = got.partition(b"\r\n\r\n")
        contains(head, f"Content-Length: {len(content)}".encode(), "the whole of it")
        assert content.endswith(b"\n")


def readiness_follows_the_backends():
    port = free_port()
    with Place(BINARY, [f"http://127.0.0.1:{port}"]) as place:
        equal(place.admin("/readyz")[0], 200, "nothing was tried yet")
        equal(place.client(), 502, "refused")
        wait_until("not ready", lambda: place.admin("/readyz")[0] == 503)
        equal(place.admin("/healthz")[0], 200, "the loop turns all the same")


def metrics_pass_promtool():
    need("promtool", "prometheus")
    good = ModeBackend()
    with Place(BINARY, [good.url, f"http://127.0.0.1:{free_port()}"]) as place:
        for _ in range(4):
            place.client()
        text = place.admin("/metrics")[2]
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
        equal((done.returncode, done.stdout + done.stderr), (0, b""), "promtool check metrics")
    rules = os.path.join(HERE, "..", "..", "conf", "rondo.rules.yml")
    done = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def requests_that_wait_are_seen():
    with EchoBackend() as backend:
        text = f'backends = ( {{ url = "{backend.url}"; max_connections = 1; }} ); queue = {{ wait = "1h"; length = 1; }};'
        with Place(BINARY, [], config_text=text) as place, Client(place.rondo) as first, Client(place.rondo) as second:
            equal(place.metric("rondo_queue_length"), 0, "nobody waits")
            first.send(request("/hold"))
            backend.held.acquire()
            second.send(request("/hold"))
            wait_until("one waits", lambda: place.metric("rondo_queue_length") == 1)
            equal(place.client(), 503, "the queue is full")
            wait_until("it has waited", lambda: place.json("/status.json")["queue"]["longest"] > 0)
            equal(place.json("/status.json")["queue"]["length"], 1, "status.json")
            equal(place.metric("rondo_requests_in_flight"), 2, "those that wait are among them")
            contains(place.rondoctl("status")[1], "1 wait for a backend, the first one for ", "rondoctl status")
            backend.release()
            equal((first.receive()[0], second.receive()[0]), (200, 200), "both are served")
            wait_until("the wait is over", lambda: place.metric("rondo_queue_total", result="served") == 1)
            equal(place.metric("rondo_queue_total", result="full"), 1, "one found no place in the queue")
            equal(place.metric("rondo_queue_seconds_count"), 1, "waits")
            contains(place.rondoctl("status")[1], "1 had to wait, ", "rondoctl status")


def bytes_and_tunnels_of_clients_are_counted():
    with EchoBackend() as backend, Place(BINARY, [backend.url]) as place, Client(place.rondo) as client:
        def moved():
            return [place.metric("rondo_bytes_total", direction=way) for way in ("in", "out")]
        equal(moved(), [0, 0], "nothing yet")
        sent = request("/short")
        client.send(sent)
        client.receive()
        wait_until("the request is counted", lambda: moved()[0] == len(sent))
        short = wait_until("the answer is counted", lambda: moved()[1])
        equal(place.metric("rondo_tunnels"), 0, "no tunnel yet")
        client.upgrade()
        wait_until("a tunnel is open", lambda: place.metric("rondo_tunnels") == 1)
        before = wait_until("its head is counted", lambda: (now := moved())[1] > short and now)
        client.send(b"x" * 1000)
        client.read(1000)
        wait_until("the tunnel is counted", lambda: moved() == [before[0] + 1000, before[1] + 1000])
        client.close()
        wait_until("the tunnel is closed", lambda: place.metric("rondo_tunnels") == 0)


def rondo_ready_is_what_readyz_says():
    dead = f"http://127.0.0.1:{free_port()}"
    with Place(BINARY, [dead], ["retry_window=100ms", "retry_window_max=100ms", "queue.wait=0"]) as place:
        equal(place.metric("rondo_ready"), 1, "nothing is known against it")
        equal(place.client(), 502, "nobody is there")
        wait_until("it is not ready", lambda: place.metric("rondo_ready") == 0)
        equal(place.admin("/readyz")[0], 503, "/readyz")


def refused_retries_have_the_names_of_the_metric():
    dead = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    with Place(BINARY, dead, ["retry.tries=1", "queue.wait=0"]) as place:
        place.client()
        wait_until("it is counted", lambda: place.metric("rondo_retries_refused_total", reason="tries") == 1)
        def refused():
            return place.json("/status.json")["retries"]["refused"]
        wait_until("status.json has it", lambda: refused()["tries"] == 1)
        equal(sorted(refused()), ["body", "budget", "deadline", "tries"], "names")


def nobody_can_lock_others_out():
    """Each kind of client holds more places than there are, and none of them has been there for as long as the
    shortest limit."""
    good = [ModeBackend() for _ in range(12)]
    kinds = {"says nothing": b"", "sends half a head": b"GET / HTTP/1.1\r\nHost: loc",
             "reads no answer": b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200}
    for kind, said in kinds.items():
        with Place(BINARY, [one.url for one in good]) as place, contextlib.ExitStack() as held:
            for at in [("127.0.0.1", place.admin_port), place.socket]:
                for _ in range(60):
                    client = held.enter_context(socket.socket(socket.AF_UNIX if isinstance(at, str) else socket.AF_INET))
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                    client.connect(at)
                    client.setblocking(False)
                    with contextlib.suppress(BlockingIOError, ConnectionError):
                        client.send(said)
            began = time.monotonic()
            for _ in range(3):
                equal(place.admin("/healthz")[0], 200, kind)
                equal(place.admin("/readyz")[0], 200, kind)
                equal(place.rondoctl("status")[0], 0, kind)
            assert time.monotonic() - began < 5, f"{kind}: {time.monotonic() - began} s"


# ---- every state, every reason -----------------------------------------------------------------------


def seen_everywhere(place, name, reason, text):
    """A backend that just went down is so wherever one can look."""
    backend = wait_until(f"{name} is down", lambda: (b := place.backend(name))["state"] == "down" and b)
    equal(backend["reason"], reason, "status.json")
    contains(backend["why"], text, "status.json")
    assert backend["since"] > 0 and backend["failures"][reason] >= 1, backend
    assert any(failure["time"] > 0 for failure in backend["last_failures"]), backend
    equal(place.metric("rondo_backend_state", backend=name, state="down"), 1, "metrics")
    equal(place.metric("rondo_backend_up", backend=name), 0, "metrics")
    assert place.metric("rondo_backend_failures_total", backend=name, reason=reason) >= 1
    page = place.admin("/")[2].decode()
    contains(page, f"<td>{name}</td><td>down</td><td>{text}", "the page")
    event = next(e for e in place.json("/events.json") if e["backend"] == name and e["state"] == "down")
    equal(event["reason"], reason, "events.json")
    contains(event["text"], text, "events.json")
    contains("\n".join(place.rondo.lines), f"backend {name} is down: {text}", "the log")
    status, said = place.rondoctl("why", name)
    equal(status, 0, said)
    contains(said, f"is down: {text}", "why")
    contains(said, "last failures:", "why")
    if reason != "check":
        with open(place.log, encoding="utf-8") as log:
            word = "503" if reason == "status" else reason
            contains(log.read(), f"{name}:{word}:", "the access log")


def every_reason_is_seen_everywhere():
    settings = ["max_delay_response=300ms", "timeouts.connect=300ms", "retry.statuses=503",
                "retry_window=60s", "silence.after=off"]
    cases = [("full", "connect_timeout", "no connection in time"),
             ("silent", "timeout", "no answer in time"),
             ("reset", "reset", "connection ended before the answer"),
             ("garbage", "bad_response", "broken response: no status line of HTTP"),
             ("status", "status", "status 503"),
             ("cut off", "cut_off", "answer cut off")]
    good = ModeBackend()
    nowhere = "255.255.255.255:80"
    refused = f"127.0.0.1:{free_port()}"
    bad = {mode: failing_backend(mode) for mode, _, _ in cases}
    wanted = [(bad[mode].name, reason, text) for mode, reason, text in cases]
    wanted += [(refused, "refused", "connection refused"), (nowhere, "unreachable", "unreachable")]
    for name, reason, text in wanted:
        with Place(BINARY, ["http://" + name, good.url], settings) as place:
            tries = 0
            while place.backend(name)["state"] != "down" and tries < 20:
                place.client(f"/{tries}")
                tries += 1
                time.sleep(0.12)  # answers of admin.http may be that old
            seen_everywhere(place, name, reason, text)


def failed_checks_are_seen_everywhere():
    good, bad = ModeBackend(), ModeBackend("status")
    settings = ["health.path=/health", "health.interval=100ms", "health.timeout=1s", "health.fall=2"]
    with Place(BINARY, [good.url, bad.url], settings) as place:
        seen_everywhere(place, bad.name, "check", "health checks failed")
        wait_until("checks go on", lambda: place.backend(bad.name)["failures"]["check"] > 3)
        bad.mode = "good"
        wait_until("checks bring it back", lambda: place.backend(bad.name)["state"] == "up")


def every_state_is_seen_everywhere():
    good = ModeBackend()
    port = free_port()
    name = f"127.0.0.1:{port}"
    missing = "nobody.invalid:80"
    with Place(BINARY, [good.url, "http://" + name, "http://" + missing],
               ["retry_window=1s"]) as place:
        def is_in(backend, state):
            wait_until(f"{backend} is {state}", lambda: place.backend(backend)["state"] == state)
            wait_until(state, lambda: place.metric("rondo_backend_state", backend=backend, state=state) == 1)
            wait_until(state, lambda: f"<td>{backend}</td><td>{state}</td>" in place.admin("/")[2].decode())
            shown = "on trial" if state == "trial" else state
            contains(place.rondoctl("why", backend)[1], f"is {shown}: ", "why")
            contains(place.rondoctl("status")[1], state, "status")

        is_in(missing, "unresolved")
        is_in(name, "up")
        for _ in range(4):
            equal(place.client(), 200, "somebody answers")
        is_in(name, "down")
        late = ModeBackend(port=port)
        is_in(name, "trial")
        for _ in range(4):
            place.client()
        is_in(name, "up")
        words = [e["state"] for e in reversed(place.json("/events.json")) if e["backend"] == name]
        equal(words, ["down", "trial", "up"], "events.json")
        equal(place.rondoctl("drain", name)[0], 0, "drain")
        is_in(name, "draining")
        late.close()


# ---- rondoctl ------------------------------------------------------------------------------------------


def what_the_operator_changes_survives_a_reload():
    one, two = ModeBackend(), ModeBackend()
    text = ('backends = ({ url = "%s"; name = "one"; }, { url = "%s"; name = "two"; weight = %d; });\n'
            'retry = { tries = %d; };\n')
    with Place(BINARY, [], config_text=text % (one.url, two.url, 1, 2)) as place:
        status, said = place.rondoctl("drain", "one")
        equal((status, said), (0, "one gets no more requests, 0 are under way\n"), "drain")
        contains(place.rondoctl("drain", "one")[1], "is already draining", "drain twice")
        equal(place.rondoctl("weight", "two", "7")[1], "two has weight 7, it had 1\n", "weight")
        before = place.rondoctl("status", "--json")[1]
        for _ in range(6):
            equal(place.client(), 200, "a request")
        two_requests = json.loads(place.rondoctl("status", "--json")[1])["backends"][1]["requests"]
        equal(two_requests - json.loads(before)["backends"][1]["requests"], 6, "all go to the other")
        write_config(place.config, text % (one.url, two.url, 3, 5))
        status, said = place.rondoctl("reload")
        equal((status, said.splitlines()), (0, ["reloaded, 2 changes", "  two weight 1 -> 3",
                                                "  retry.tries 2 -> 5"]), "reload")
        backends = json.loads(place.rondoctl("status", "--json")[1])["backends"]
        equal([b["runtime_changes"] for b in backends], [["drain"], ["weight"]], "runtime changes")
        equal([b["weight"] for b in backends], [1, 7], "weights")
        equal(backends[1]["configured_weight"], 3, "what the file says")
        contains(place.rondoctl("why", "two")[1], "changed at run time: weight 7, configured is 3", "why")
        contains(place.rondoctl("status")[1], "are changes made at run time", "status")
        place.rondoctl("undrain", "one")
        equal(place.rondoctl("undrain", "one")[1], "one is not draining\n", "undrain twice")
        equal(place.rondoctl("weight", "two", "default")[1], "two has weight 3, it had 7\n", "default")
        backends = json.loads(place.rondoctl("status", "--json")[1])["backends"]
        equal([b["runtime_changes"] for b in backends], [[], []], "taken back")
        texts = [e["text"] for e in place.json("/events.json")]
        for wanted in ("drained by the operator", "weight 1 -> 7 by the operator", "reloaded: 2 changes"):
            assert wanted in texts, texts


def when_all_are_drained_clients_are_told_to_come_again():
    one, two = ModeBackend(), ModeBackend()
    with Place(BINARY, [one.url, two.url]) as place:
        for backend in one, two:
            equal(place.client(), 200, "before")
            equal(place.rondoctl("drain", backend.url.rpartition("/")[2])[0], 0, "drain")
        status, fields = place.answer()
        equal(status, 503, "all are drained")
        equal(fields["retry-after"], "1", "Retry-After")
        equal(fields["proxy-status"], "rondo; error=destination_unavailable", "Proxy-Status")
        place.rondoctl("undrain", one.url.rpartition("/")[2])
        equal(place.client(), 200, "one is back")


def a_bad_configuration_is_told_with_its_faults():
    good = ModeBackend()
    text = f'backends = ( "{good.url}" );\n'
    with Place(BINARY, [], config_text=text) as place:
        equal(place.metric("rondo_config_last_reload_successful"), 1, "at the start")
        write_config(place.config, text + "retri = 3;\n")
        status, said = place.rondoctl("reload")
        equal(status, 1, "exit status")
        contains(said, "refused, the old configuration stays", "verdict")
        contains(said, "rondo.conf:2: unknown setting `retri`", "the fault")
        wait_until("the metric", lambda: place.metric("rondo_config_last_reload_successful") == 0)
        contains(place.rondoctl("status")[1], "the last reload was refused: ", "status")
        equal(place.client(), 200, "it serves on")
        write_config(place.config, text)
        equal(place.rondoctl("reload"), (0, "reloaded, 0 changes\n"), "and back")
        wait_until("the metric", lambda: place.metric("rondo_config_last_reload_successful") == 1)


def logs_are_opened_again():
    good = ModeBackend()
    with Place(BINARY, [good.url]) as place:
        place.client("/before")
        wait_until("a line", lambda: os.path.getsize(place.log) > 0)
        os.rename(place.log, place.log + ".1")
        equal(place.rondoctl("logs")[0], 0, "logs")
        place.client("/after")
        wait_until("a line in the new file", lambda: os.path.getsize(place.log) > 0)
        with open(place.log, encoding="utf-8") as log:
            contains(log.read(), "GET /after", "the new file")


def the_socket_is_for_its_owner_and_group():
    good = ModeBackend()
    with Place(BINARY, [good.url]) as place:
        equal(os.stat(place.socket).st_mode & 0o777, 0o660, "mode")
        for line, wanted in ((b"status\n", b'"ok":true'), (b"why nobody\n", b'"ok":false'),
                             (b"why\n", b'"ok":false'), (b"weight x\n", b'"ok":false'),
                             (b"\n", b'"ok":false'), (b"x" * 5000, b"too long"),
                             (b"why \xff\xfe\n", b'"ok":false'), (b"logs\r\n", b'"ok":true')):
            with Client(place.socket) as client:
                client.send(line)
                answer = client.read_to_end()
            contains(answer, wanted, repr(line[:20]))
            json.loads(answer)
        path = place.socket
        equal(place.rondo.end(), "", "the end")
        assert not os.path.exists(path), "the socket is still there"
        status, said = place.rondoctl("status")
        equal(status, 1, "nobody is there")
        contains(said, "cannot connect to", "rondoctl")


def rondoctl_knows_its_commands():
    ctl = os.path.join(os.path.dirname(BINARY), "rondoctl")
    for words, wanted in (([], 2), (["nothing"], 2), (["why"], 2), (["weight", "a"], 2), (["-h"], 0),
                          (["-V"], 0), (["-x"], 2), (["status", "more"], 2)):
        done = subprocess.run([ctl, *words], capture_output=True, check=False)
        equal(done.returncode, wanted, f"rondoctl {words}")
    done = subprocess.run([ctl, "top"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    equal(done.returncode, 1, "top without a terminal")
    contains(done.stderr, b"needs a terminal", "top without a terminal")


def top_shows_a_backend_that_goes_down():
    good, bad = ModeBackend(), f"127.0.0.1:{free_port()}"
    with Place(BINARY, [good.url, "http://" + bad]) as place:
        for colour in (True, False):
            pid, fd = place.top(colour)
            seen = bytearray()

            def read_until(part, fd=fd, seen=seen):
                while part not in seen:
                    assert select.select([fd], [], [], 30)[0], f"never {part!r} in {bytes(seen)!r}"
                    seen.extend(os.read(fd, 65536))

            resize(fd, 30, 110)
            read_until(b"requests/s")
            place.client()
            place.client()
            read_until(b"connection refused")
            del seen[:]
            resize(fd, 12, 60)
            read_until(b"\x1b[J")
            frame = bytes(seen).split(b"\x1b[H")[-1]
            assert frame.count(b"\r\n") < 12, frame
            os.write(fd, b"q")
            read_until(b"\x1b[?1049l")
            equal(os.waitpid(pid, 0)[1], 0, "exit status")
            os.close(fd)
            equal(b"\x1b[31m" in seen or b"\x1b[2m" in seen, colour, "colours")


# ---- logs that others read -------------------------------------------------------------------------------


def run_some(place):
    for i in range(6):
        place.client(f'/a%22b?x={i}')
    wait_until("lines", lambda: os.path.getsize(place.log) > 0)
    equal(place.rondo.end(), "", "the end")


def goaccess_reads_the_access_log():
    need("goaccess")
    good = ModeBackend()
    for form in ("combined", "combined+"):
        with Place(BINARY, [good.url, f"http://127.0.0.1:{free_port()}"], [f"log.format={form}"]) as place:
            run_some(place)
            report = os.path.join(place.directory, "report.json")
            done = subprocess.run(["goaccess", place.log, "--log-format=COMBINED", "-o", report,
                                   "--no-global-config"], capture_output=True, check=False,
                                  stdin=subprocess.DEVNULL)
            assert done.returncode == 0, done.stderr
            with open(report, encoding="utf-8") as read:
                general = json.load(read)["general"]
            equal((general["valid_requests"], general["failed_requests"]), (6, 0), form)


def jq_reads_the_access_log():
    need("jq")
    good = ModeBackend()
    with Place(BINARY, [good.url, f"http://127.0.0.1:{free_port()}"], ["log.format=json"]) as place:
        run_some(place)
        with open(place.log, "rb") as log:
            done = subprocess.run(["jq", "-es", "length"], stdin=log, capture_output=True, check=False)
        equal((done.returncode, done.stdout), (0, b"6\n"), "jq")


TESTS = [
    every_endpoint_answers_get_and_head,
    the_manual_names_every_member_of_status_json,
    nothing_but_get_and_head_is_answered,
    only_addresses_and_localhost_are_hosts,
    admin_hosts_are_hosts_too,
    connections_go_on_and_broken_requests_end_them,
    idle_connections_make_room_and_the_proxy_does_not_care,
    answers_reach_a_slow_reader_whole,
    readiness_follows_the_backends,
    metrics_pass_promtool,
    every_reason_is_seen_everywhere,
    failed_checks_are_seen_everywhere,
    every_state_is_seen_everywhere,
    what_the_operator_changes_survives_a_reload,
    when_all_are_drained_clients_are_told_to_come_again,
    a_bad_configuration_is_told_with_its_faults,
    logs_are_opened_again,
    the_socket_is_for_its_owner_and_group,
    rondoctl_knows_its_commands,
    top_shows_a_backend_that_goes_down,
    requests_that_wait_are_seen,
    bytes_and_tunnels_of_clients_are_counted,
    rondo_ready_is_what_readyz_says,
    refused_retries_have_the_names_of_the_metric,
    nobody_can_lock_others_out,
    goaccess_reads_the_access_log,
    jq_reads_the_access_log,
]


def main():
    report = Report(quiet=False)
    chosen = sys.argv[2:]
    for test in TESTS:
        if not chosen or test.__name__ in chosen:
            report.run(test)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
