"""What a conversation should have been like, what it was like, and the difference in words."""

import json
import re

import wire

DATE = re.compile(rb"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d "
                  rb"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT")
HOP_BY_HOP = (b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization")


class Outcome:
    """What was seen at both ends."""

    def __init__(self, wish, url):
        self.wish = wish
        self.url = url.encode()
        self.answers = []
        self.complete = False        # the last of them
        self.spare = b""             # what came behind it
        self.ended = ""              # "close", "reset", or nothing of it
        self.again = None            # (message, complete) of another request on the connection
        self.closed_by_rondo = True  # the backend connection


def judge(plan, outcome):
    """Empty when one of the plan's outcomes is what happened."""
    reasons = [_compare(plan, one, outcome) for one in plan.alternatives]
    return "" if "" in reasons else " | ".join(reasons)


def _compare(plan, wanted, outcome):
    statuses = [answer.status for answer in outcome.answers]
    if statuses != wanted.statuses:
        seen = f"{statuses or 'nothing'} ({outcome.ended or 'open'})"
        return f"answered {seen}, not {wanted.statuses}"
    last = outcome.answers[-1] if outcome.answers else None
    steps = [lambda: _end(wanted, outcome, last), lambda: _pool(wanted, outcome)]
    steps += [lambda a=answer: _answer(plan, a, outcome.url) for answer in outcome.answers]
    if plan.direction == "B>P":
        steps += [lambda: _content(wanted, outcome, last), lambda: _fields(wanted, last)]
    else:
        steps += [lambda: _echoes(plan, outcome), lambda: _requests(wanted, outcome)]
    steps += [lambda r=request: _forwarded(r) for request in outcome.wish.requests]
    for step in steps:
        why = step()
        if why:
            return why
    return ""


def _end(wanted, outcome, last):
    end = wanted.keys["end"]
    if outcome.ended == "silence":
        return "nothing more came, and no end"
    if end == "given-up":
        return _given_up(outcome)
    if outcome.spare != (wanted.get("tunnel") or b""):
        return f"behind the answer came {outcome.spare[:80]!r}"
    said = b"close" in last.tokens(b"connection")
    if end == "either":
        end = "close" if said else "keep"
    # The whole answer is there and says that the connection ends: what is sent behind it may meet a reset.
    if end == "close" and (not said or outcome.ended not in ("close", "reset")):
        return f"not closed: Connection: {last.value(b'connection')!r}, {outcome.ended or 'open'}"
    if end == "keep":
        again = outcome.again
        if said or outcome.ended or not again or not again[1]:
            return f"no second request possible: {outcome.ended or 'open'}, said close: {said}"
        if again[0].status != 200 or again[0].body != b"GET /again":
            return f"the second request got {again[0].status} {again[0].body[:60]!r}"
    return _cut(wanted, outcome, last)


def _given_up(outcome):
    """The client ended its sending inside a request."""
    if not outcome.ended:
        return "the connection of a client that has ended its sending stays open"
    if not outcome.spare:
        return ""
    error, complete = wire.parse_response(outcome.spare)
    if not complete or error.status not in (400, 408) or error.raw_length != len(outcome.spare):
        return f"half a request was answered with {outcome.spare[:80]!r}"
    return ""


def _cut(wanted, outcome, last):
    if wanted.keys["end"] != "cut":
        return "" if outcome.complete else "the answer is not complete"
    if outcome.complete:
        return "the client cannot tell that the answer was cut off"
    if not outcome.ended:
        return "the connection stays open behind a cut answer"
    if last.framing == "close" and outcome.ended != "reset":
        return "only a reset tells the client that this answer was cut off"
    return ""


def _pool(wanted, outcome):
    pool = wanted.keys.get("pool")
    links = outcome.wish.links
    if pool == "no" and not outcome.closed_by_rondo:
        return "the backend connection was not closed"
    if pool and outcome.again and len(links) > 1 and (links[0] is links[1]) != (pool == "yes"):
        return "the backend connection was " + ("not reused" if pool == "yes" else "reused")
    return ""


def _answer(plan, answer, url):
    """What holds for everything a client gets."""
    if answer.status < 200 and answer.status != 101:
        return ""
    if any(answer.values(name) for name in HOP_BY_HOP):
        return f"hop-by-hop fields in the answer: {answer.fields!r}"
    options = answer.tokens(b"connection")
    if answer.status == 101:
        return "" if options == [b"upgrade"] else f"101 with Connection: {options!r}"
    if options not in ([], [b"close"], [b"keep-alive"]):
        return f"Connection: {options!r}"
    dates = answer.values(b"date")
    if len(dates) != 1 or not DATE.fullmatch(dates[0]):
        return f"Date: {dates!r}"
    if answer.framing == "chunked" and plan.ask == "old":
        return "chunked to an HTTP/1.0 client"
    if answer.values(b"content-type") == [b"application/problem+json"]:
        return _problem(answer, plan.is_head)
    if answer.values(b"x-app-url") != [url]:
        return f"x-app-url: {answer.values(b'x-app-url')!r}"
    return ""


def _problem(answer, is_head):
    """One of rondo's own answers."""
    if not answer.value(b"proxy-status").startswith(b"rondo"):
        return f"Proxy-Status: {answer.value(b'proxy-status')!r}"
    if is_head:
        return ""
    try:
        problem = json.loads(answer.body)
    except ValueError:
        return f"content is not JSON: {answer.body[:80]!r}"
    if problem.get("status") != answer.status or not problem.get("title") \
            or "detail" not in problem:
        return f"problem document {problem!r}"
    if b"127.0.0.1" in answer.body:
        return "an address in the content"
    return ""


def _echoes(plan, outcome):
    """Answers come in the order of the requests, each with its own content."""
    good = [answer for answer in outcome.answers if answer.status == 200]
    for request, answer in zip(outcome.wish.requests, good):
        echo = b"" if request.start[0] == b"HEAD" else request.start[0] + b" " + request.start[1]
        if answer.body != echo:
            return f"{answer.body[:60]!r} answers {request.start!r}"
    return ""


def _content(wanted, outcome, last):
    body, framing = wanted.get("body"), wanted.keys.get("framing")
    if body is not None and last.body != body:
        return f"content {last.body[:80]!r}, not {body!r}"
    if framing and last.framing != framing:
        return f"framed by {last.framing}, not {framing}"
    return ""


def _fields(wanted, message):
    for name, value in wanted.has:
        if message.value(name).lower() != value.lower():
            return f"{name.decode()}: {message.value(name)!r}, not {value!r}"
    for name in wanted.lacks:
        if message.values(name):
            return f"{name.decode()}: {message.value(name)!r} should not be there"
    return ""


def _requests(wanted, outcome):
    requests = [one for one in outcome.wish.requests if one.start[1] != b"/again"]
    good = wanted.statuses.count(200) or wanted.statuses.count(101)
    count = int(wanted.keys.get("requests", good))
    if len(requests) != count:
        return f"the backend got {len(requests)} requests, not {count}"
    if outcome.wish.partial and "partial" not in wanted.keys:
        return f"the backend got part of a request: {outcome.wish.partial.start!r}"
    if not requests:
        return ""
    first = requests[0]
    seen = {"method": first.start[0], "target": first.start[1], "body": first.body,
            "host": first.value(b"host")}
    for key, value in seen.items():
        if wanted.get(key) is not None and wanted.get(key) != value:
            return f"the backend saw {key} {value[:80]!r}, not {wanted.get(key)!r}"
    return _fields(wanted, first)


def _forwarded(request):
    """What holds for everything a backend gets."""
    upgrades = request.values(b"upgrade") == [b"websocket"]
    checks = {
        "one Host": len(request.values(b"host")) == 1,
        "Via": request.tokens(b"via")[-1:] in ([b"1.1 rondo"], [b"1.0 rondo"]),
        "X-Forwarded-For": len(request.values(b"x-forwarded-for")) == 1,
        "X-Forwarded-Proto": request.values(b"x-forwarded-proto") == [b"http"],
        "X-Forwarded-Host": len(request.values(b"x-forwarded-host")) <= 1,
        "no hop-by-hop field": not any(request.values(name) for name in HOP_BY_HOP),
        "no TE": not request.values(b"te"),
        "Connection": request.tokens(b"connection") == ([b"upgrade"] if upgrades else []),
        "Upgrade": upgrades or not request.values(b"upgrade"),
        "no trailers": not request.trailers,
    }
    wrong = [name for name, holds in checks.items() if not holds]
    return f"forwarded without keeping: {', '.join(wrong)}: {request.fields!r}" if wrong else ""
