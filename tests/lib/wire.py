"""HTTP/1.1 as it should look on the wire, read with no forgiveness at all.

What rondo sends to either side is parsed by the letter of RFC 9112: a spare space, a lone LF, a
second Content-Length or a padded chunk size is a WireError. The parsers take a whole buffer each
time and keep no state.
"""

import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(%s) ([\x21-\x7e]+) HTTP/1\.1" % TOKEN)
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)")
# Control bytes in values may be kept, except the three that end or cut them. RFC 9110, 5.5.
TEXT = rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x21-\xff]"
FIELD = re.compile(rb"(%s): ?(%s(?:[\t ]|%s)*(?<![\t ]))?" % (TOKEN, TEXT, TEXT))
CHUNK = re.compile(rb"(0|[1-9a-fA-F][0-9a-fA-F]{0,15})\r\n")


class WireError(Exception):
    """Bytes that rondo must never send."""


class Message:
    """One request or response. `body` is the content without framing."""

    def __init__(self, start, fields):
        self.start = start
        self.fields = fields
        self.framing = "none"
        self.body = b""
        self.trailers = []
        self.raw_length = 0

    @property
    def status(self):
        return int(self.start[0])

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def value(self, name):
        return b", ".join(self.values(name))

    def tokens(self, name):
        parts = self.value(name).lower().split(b",")
        return [part.strip() for part in parts if part.strip()]


def unescape(text):
    """The table's notation: \\r \\n \\t \\0 \\xNN \\\\ and {{S*N}}, S repeated N times."""
    escapes = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\", "s": " "}

    def one(match):
        code = match.group(1)
        return chr(int(code[1:], 16)) if code[0] == "x" else escapes[code]

    def plain(part):
        return re.sub(r"\\(x[0-9a-fA-F]{2}|.)", one, part)

    out = []
    at = 0
    for match in re.finditer(r"\{\{(.*?)\*(\d+)\}\}", text):
        out += [plain(text[at:match.start()]), plain(match.group(1)) * int(match.group(2))]
        at = match.end()
    out.append(plain(text[at:]))
    return "".join(out).encode("latin-1")


def _head(data, start_line):
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > 200000:
            raise WireError("a head without end")
        return None, 0
    lines = data[:end].split(b"\r\n")
    start = start_line.fullmatch(lines[0])
    if not start:
        raise WireError(f"start line {lines[0][:80]!r}")
    return Message(start.groups(), _fields(lines[1:])), end + 4


def _fields(lines):
    fields = []
    for line in lines:
        field = FIELD.fullmatch(line)
        if not field:
            raise WireError(f"field line {line[:80]!r}")
        fields.append((field.group(1), field.group(2) or b""))
    return fields


def _framing(message):
    lengths = message.values(b"content-length")
    codings = message.values(b"transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise WireError("more than one field that frames")
    if codings and codings[0] != b"chunked":
        raise WireError(f"transfer-encoding {codings[0]!r}")
    if lengths and not re.fullmatch(rb"0|[1-9][0-9]*", lengths[0]):
        raise WireError(f"content-length {lengths[0]!r}")
    if codings:
        return "chunked", 0
    if lengths:
        return "length", int(lengths[0])
    return "none", 0


def _chunks(message, data, at):
    """Fills body and trailers; the offset behind the message, or None when it is not complete."""
    while True:
        line = CHUNK.match(data, at)
        if not line:
            if b"\r\n" in data[at:at + 20] or len(data) - at > 20:
                raise WireError(f"chunk line {data[at:at + 30]!r}")
            return None
        size = int(line.group(1), 16)
        at = line.end()
        if size == 0:
            break
        message.body += data[at:at + size]
        if len(data) < at + size + 2:
            return None
        if data[at + size:at + size + 2] != b"\r\n":
            raise WireError("chunk without CRLF behind it")
        at += size + 2
    if data[at:at + 2] == b"\r\n":
        return at + 2
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        return None
    message.trailers = _fields(data[at:end].split(b"\r\n"))
    return end + 4


def parse_request(data):
    """(message, complete), or (None, False) without a whole head. raw_length: when complete."""
    message, at = _head(data, REQUEST_LINE)
    if message is None:
        return None, False
    message.framing, length = _framing(message)
    if message.framing == "chunked":
        end = _chunks(message, data, at)
    else:
        message.body = data[at:at + length]
        end = at + length if len(data) >= at + length else None
    message.raw_length = end or 0
    return message, end is not None


def parse_response(data, to_head=False, ended=False):
    """The same for a response; `ended`: nothing follows, so one without framing is complete."""
    message, at = _head(data, STATUS_LINE)
    if message is None:
        return None, False
    message.framing, length = _framing(message)
    if message.status < 200 or message.status in (204, 304) or to_head:
        message.raw_length = at
        return message, True
    if message.framing == "chunked":
        end = _chunks(message, data, at)
    elif message.framing == "length":
        message.body = data[at:at + length]
        end = at + length if len(data) >= at + length else None
    else:
        message.framing = "close"
        message.body = data[at:]
        end = len(data) if ended else None
    message.raw_length = end or 0
    return message, end is not None
