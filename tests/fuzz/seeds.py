#!/usr/bin/env python3
"""usage: seeds.py DIR

Fills DIR/request, response, chunked, config, proxy_header and forwarded with what the fuzz targets start from: the rows of
tests/http/cases.tsv, the configurations of tests/config and PROXY headers, and DIR/http.dict, config.dict and
proxy_header.dict with words.
"""

import glob
import hashlib
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TESTS, "lib"))

import proxy_protocol  # noqa: E402
import wire  # noqa: E402

KINDS = {"HEAD": b"H", "WEBSOCKET": b"W"}
HTTP_WORDS = [
    "HTTP/1.1", "HTTP/1.0", "GET ", "HEAD ", "POST ", "OPTIONS * ", "\r\n", "\r\n\r\n", "chunked", "close",
    "Content-Length: ", "Transfer-Encoding: chunked\r\n", "Connection: ", "keep-alive", "Upgrade: websocket\r\n",
    "Connection: upgrade\r\n", "Host: a\r\n", "Expect: 100-continue\r\n", "TE: trailers\r\n", "X-Forwarded-For: ",
    "Forwarded: ", "http://", "[::1]:80", "0\r\n", "5\r\nhello\r\n", ";a=b", ';a="\\""', "ffffffffffffffff",
    "9223372036854775807", "100", "101", "204", "304", "Trailer: ", "X-Request-Id: ", "Proxy-Connection: ",
]
PROXY_WORDS = ["PROXY ", "TCP4 ", "TCP6 ", "UNKNOWN", "\r\n", "\r\n\r\n\0\r\nQUIT\n", "\x21\x11", "\x21\x21", "\x21\x31",
               "\x20\0", "\x03\0\x04", "\x20\0\x05\x01"]


CHAINS = [
    b"192.0.2.1, 198.51.100.1:80,10.0.0.1", b"[2001:db8::1]:80, unknown", b"for=192.0.2.1;proto=https, For=\"[::1]:80\";by=_a",
    b"for=\"a\\\"b\", for=\"", b", ,", b"::ffff:10.0.0.1",
]


def write(directory, data):
    name = os.path.join(directory, hashlib.sha1(data).hexdigest())
    with open(name, "wb") as file:
        file.write(data)


def quoted(word):
    return '"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"\n'


def http(root):
    with open(os.path.join(TESTS, "http", "cases.tsv"), encoding="utf-8") as table:
        rows = [line.rstrip("\n").split("\t") for line in table if not line.startswith("#")]
    for name, direction, text, *_ in rows:
        data = wire.unescape(text.replace("<FIN>", ""))[:4096]
        if direction == "C>P":
            write(root["request"], data)
        else:
            kind = KINDS.get(name.partition(":")[2], b"G")
            write(root["response"], kind + data)
            write(root["response"], b"0" + data)
        head, empty_line, content = data.partition(b"\r\n\r\n")
        if empty_line and content and b"chunked" in head.lower():
            write(root["chunked"], content)


def config(root, tests):
    for path in glob.glob(os.path.join(tests, "config", "**", "*.conf"), recursive=True):
        with open(path, "rb") as file:
            write(root["config"], file.read())
    for path in glob.glob(os.path.join(os.path.dirname(tests), "conf", "*.conf")):
        with open(path, "rb") as file:
            text = file.read()
        write(root["config"], text)
        write(root["config"], re.sub(rb"(?m)^\s*#.*\n", b"", text))


def proxy_headers(root):
    for client, server in (("192.0.2.7", "203.0.113.1"), ("2001:db8::7", "2001:db8::1")):
        write(root["proxy_header"], proxy_protocol.version_1(client, server) + b"GET / HTTP/1.1\r\n")
        for tlvs in ((), (proxy_protocol.OVER_TLS,), ((proxy_protocol.NOOP, b"a"), (1, b"h2"))):
            for checksum in (False, True):
                write(root["proxy_header"], proxy_protocol.version_2(client, server, tlvs=tlvs, checksum=checksum))
    for command in (proxy_protocol.LOCAL, proxy_protocol.PROXY):
        write(root["proxy_header"], proxy_protocol.version_2(None, command=command))
    write(root["proxy_header"], b"PROXY UNKNOWN any\r\n")
    for chain in CHAINS:
        write(root["forwarded"], chain)


def words_of_config():
    with open(os.path.join(os.path.dirname(TESTS), "conf", "rondo.conf"), encoding="utf-8") as file:
        text = re.sub(r"(?m)#.*$", "", file.read())
    words = set(re.findall(r'[a-z_]+ =|"[^"\n]*"', text))
    return sorted(words) + ["@include ", "${A:-b}", "${", "0x7fffffff", "1L", "1e9", "unix:/a", "weight = 2;"]


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    root = {}
    for name in ("request", "response", "chunked", "config", "proxy_header", "forwarded"):
        root[name] = os.path.join(sys.argv[1], name)
        os.makedirs(root[name], exist_ok=True)
    http(root)
    config(root, TESTS)
    proxy_headers(root)
    for name, words in (("http", HTTP_WORDS), ("config", words_of_config()), ("proxy_header", PROXY_WORDS)):
        with open(os.path.join(sys.argv[1], name + ".dict"), "w", encoding="ascii") as file:
            file.writelines(quoted(word) for word in words)
    return 0


if __name__ == "__main__":
    sys.exit(main())
