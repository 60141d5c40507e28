"""What should come of each row of cases.tsv when it is played: made from its word, and made sharper
by wire.tsv where there is more to say.

A Plan is a list of Alternatives, of which one must come to pass. An alternative is a set of keys:

  answer=100,200     the statuses the client gets, in order; 103*16 is sixteen of them
  end=keep           the client connection then serves another request
  end=close          it is closed, and the last answer said so
  end=either         one of these two, as the last answer says
  end=cut            the last answer is not complete, and the client can tell
  end=given-up       the client ends its sending; rondo closes, with or without 400 or 408
  method= target= host= body=   of the first request the backend gets (C>P)
  body= framing=     of the last answer (B>P)
  has=Name:value lacks=Name     fields of the first request (C>P), of the last answer (B>P)
  requests=2         how many the backend gets
  partial            the beginning of a request that is refused later may have reached the backend
  pool=yes|no        the backend connection is used again, or closed
  tunnel=            bytes that come back through the tunnel behind a 101
  ask=head|old|expect|websocket   the request that a B>P row answers; a plain GET where not given

In wire.tsv " ; " separates such sets for different requests (ask=). In values \\s is a space.
"""

import re

import wire

STATUS = re.compile(rb"HTTP/1\.\d (\d\d\d)")
FRAMED = re.compile(rb"\r\n(content-length:|transfer-encoding:)", re.I)


class Alternative:
    """One outcome that is right."""

    def __init__(self, statuses, keys=None, has=(), lacks=()):
        self.statuses = list(statuses)
        self.keys = dict(keys or {})
        self.has, self.lacks = list(has), list(lacks)

    def get(self, key):
        """The value as bytes."""
        return wire.unescape(self.keys[key]) if key in self.keys else None

    def sharpen(self, text):
        """The same with the keys of `text` as well."""
        sharper = Alternative(self.statuses, self.keys, self.has, self.lacks)
        for word in text.split():
            key, _, value = word.partition("=")
            if key == "has":
                name, _, wanted = value.partition(":")
                sharper.has.append((wire.unescape(name), wire.unescape(wanted)))
            elif key == "lacks":
                sharper.lacks.append(wire.unescape(value))
            elif key == "answer":
                sharper.statuses = [int(part.partition("*")[0]) for part in value.split(",")
                                    for _ in range(int(part.partition("*")[2] or 1))]
            else:
                sharper.keys[key] = value
        return sharper


class Plan:
    """The outcomes of which one must come to pass."""

    def __init__(self, direction, alternatives):
        self.direction = direction
        self.alternatives = alternatives
        self.ask = alternatives[0].keys.get("ask", "get")
        self.is_head = self.ask == "head" or self.wants("method", "HEAD")

    def wants(self, key, *values):
        return any(one.keys.get(key) in values for one in self.alternatives)

    def most_answers(self):
        return max(len(one.statuses) for one in self.alternatives)

    def tunnel(self):
        return self.alternatives[0].get("tunnel") or b""

    def keeps_backend_out(self):
        return self.direction == "C>P" and all(
            "partial" not in one.keys and set(one.statuses).isdisjoint((101, 200))
            for one in self.alternatives)

    def sharpen(self, text):
        return Plan(self.direction, [one.sharpen(text) for one in self.alternatives])

    def among_others(self):
        """The same while others run too: which connection is reused cannot be told then."""
        plan = self.sharpen("")
        for one in plan.alternatives:
            if one.keys.get("pool") == "yes":
                del one.keys["pool"]
        return plan

    def to_old_client(self):
        """The same response to an HTTP/1.0 client: no interim answers, and closed behind it."""
        plan = Plan(self.direction, [one.sharpen("ask=old") for one in self.alternatives])
        for one in plan.alternatives:
            one.statuses = [status for status in one.statuses if status >= 200]
            one.keys.pop("framing", None)
            if one.keys.get("end") == "keep":
                one.keys["end"] = "close"
        return plan.among_others()


def request_plan(words, data):
    """What comes of bytes from a client: `words` as in cases.tsv."""
    words = wire.unescape(words).decode().split()
    statuses, keys = [], {"end": "keep"}
    if b"close" in data.lower() or b"HTTP/1.0" in data:
        keys["end"] = "either"
    for word in words:
        if word == "forward":
            statuses.append(200)
        elif word == "upgrade":
            statuses.append(101)
            keys.update(end="none", tunnel=quote(data.partition(b"\r\n\r\n")[2]))
        elif word in ("wait", "cut"):
            keys.update(end="given-up", partial="")
        else:
            statuses.append(int(word))
            keys["end"] = "close"
    if re.search(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", data, re.I):
        keys["partial"] = ""
    return [Alternative(statuses, keys)]


def response_plan(words, data, ask):
    """What comes of bytes from a backend in answer to `ask`."""
    words = wire.unescape(words).decode().split()
    came = [int(status) for status in STATUS.findall(data)]
    statuses, keys = [], {"ask": ask, "end": "keep"}
    if "cut" in words or "wait" in words:
        words = words[:-1] + [what_is_missing(data)]
    for number, word in enumerate(words):
        if word == "interim" and came[number] != 100:
            statuses.append(came[number])
        elif word == "relay":
            statuses.append(came[number])
        elif word == "upgrade":
            statuses.append(101)
            keys.update(end="none", tunnel=quote(data.partition(b"\r\n\r\n")[2]))
        elif word == "extra":
            keys["pool"] = "no"
        elif word == "torn":
            return [Alternative(statuses + [came[number]], dict(keys, end="cut", pool="no"))]
        elif word == "502":
            refused = Alternative(statuses + [502], {"ask": ask, "end": "none", "pool": "no"})
            return [refused] + torn_content(data, statuses, ask)
    return [Alternative(statuses, keys)]


def what_is_missing(data):
    """The word for a response that ends with these bytes."""
    if b"\r\n\r\n" not in data:
        return "502"
    return "torn" if FRAMED.search(data) else "relay"


def torn_content(data, statuses, ask):
    """A response that is broken in its content may have begun to reach the client."""
    head, _, content = data.partition(b"\r\n\r\n")
    if statuses or not content or not re.search(rb"\r\ntransfer-encoding: chunked$", head, re.I):
        return []
    return [Alternative([int(STATUS.match(head).group(1))],
                        {"ask": ask, "end": "cut", "pool": "no"})]


def quote(data):
    return "".join(f"\\x{byte:02x}" for byte in data)


def row_plans(row, sharper):
    """The plans for the requests a row is played with. `sharper`: its line of wire.tsv, or empty."""
    if row.direction == "C>P":
        alternatives = [one for words in row.words.split("|")
                        for one in request_plan(words, row.data)]
        return [Plan(row.direction, alternatives).sharpen(sharper)]
    ask = row.name.partition(":")[2].lower() or "get"
    plain = Plan(row.direction, response_plan(row.words, row.data, ask))
    plans = [plain.sharpen(text) for text in sharper.split(" ; ")]
    return plans + ([plans[0].to_old_client()] if plans[0].ask == "get" else [])
