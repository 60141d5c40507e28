#!/usr/bin/env python3
"""usage: test_refusals.py RONDO [TEST...]

Whatever is refused, a request or an answer, is refused by name: the same words are in the answer to the client, in the
daemon's log, in the access log and in what the admin side tells of a backend.
"""

import json
import tempfile

import raw

LINE = b"GET /a HTTP/1.1\r\n"
HOST = LINE + b"Host: a\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\n"

# The request, its status, the rule, and what is in the access log for the request line.
REQUESTS = [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400, "a TLS handshake on a plain port", "-"),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 4 5\r\n" + HOST, 400, "a PROXY header that nobody expects", "PROXY TCP4"),
    (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 400, "a PROXY header that nobody expects", "-"),
    (b"\r\n\r\n\r\n" + HOST, 400, "more than two empty lines before the head", "-"),
    (b"GE(T /a HTTP/1.1\r\n", 400, "a method that is not a token", "GE"),
    (b"GET /a\r\n", 400, "a request line that is not a method, a target and a version", "GET /a"),
    (b"GET /a\x01 HTTP/1.1\r\n", 400, "control byte in the target", "GET /a"),
    (b"GET /caf\xc3\xa9 HTTP/1.1\r\n", 400, "raw bytes above 0x7f in the target", "GET /caf"),
    (b"GET /a HTTP/0.9\r\n", 400, "a version that is not HTTP/1", "GET /a"),
    (b"GET /a HTTP/2.0\r\n", 505, "a version that is not HTTP/1: HTTP/2.0 or above", "GET /a"),
    (LINE + b"Host : a\r\n", 400, "space before the colon", "GET /a"),
    (LINE + b"X-A: a\r\n b\r\n", 400, "a folded line (obs-fold)", "GET /a"),
    (LINE + b"X-A: a\0\r\n", 400, "NUL byte", "GET /a"),
    (LINE + b"X-A: a\rb\r\n", 400, "bare CR", "GET /a"),
    (LINE + b"X-A: a\nX-B", 400, "bare LF", "GET /a"),
    (LINE + b": a\r\n", 400, "empty field name", "GET /a"),
    (LINE + b"X\x01: a\r\n", 400, "control byte in a field name", "GET /a"),
    (LINE + b"X-A\r\n", 400, "a field line without a colon", "GET /a"),
    (LINE + b"X-A: " + b"y" * 20000, 431, "head over limits.header_bytes", "GET /a"),
    (LINE + b"A: b\r\n" * 101, 431, "more fields than limits.headers", "GET /a"),
    (LINE + b"\r\n", 400, "no Host", "GET /a HTTP/1.1"),
    (HOST + b"Host: a\r\n\r\n", 400, "more than one Host", "GET /a HTTP/1.1"),
    (LINE + b"Host: a b\r\n\r\n", 400, "a Host that is not a host", "GET /a HTTP/1.1"),
    (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a target of a form that the method does not allow",
     "GET a HTTP/1.1"),
    (POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, "more than one Content-Length",
     "POST /a HTTP/1.1"),
    (POST + b"Content-Length: x\r\n\r\n", 400, "a Content-Length that is not a number", "POST /a HTTP/1.1"),
    (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "Content-Length with Transfer-Encoding",
     "POST /a HTTP/1.1"),
    (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400, "a Transfer-Encoding other than chunked", "POST /a HTTP/1.1"),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n5  \r\n", 400, "a chunk size that is not a hexadecimal number",
     "POST /a HTTP/1.1"),
    (HOST + b"Expect: x\r\n\r\n", 417, "an expectation other than 100-continue", "GET /a HTTP/1.1"),
    (b"TRACE /a HTTP/1.1\r\nHost: a\r\n\r\n", 405, "CONNECT and TRACE are not passed on", "TRACE /a HTTP/1.1"),
]

ANSWERS = [
    (b"SSH-2.0-OpenSSH_9.2\r\n", "no status line of HTTP"),
    (b"\x15\x03\x01\0\x02\x02\x46", "an answer in TLS to a plain request"),
    (b"HTTP/2.0 200 OK\r\n\r\n", "a version that is not HTTP/1"),
    (b"HTTP/1.1 1000 OK\r\n\r\n", "a status that is not a number from 100 to 999"),
    (ANSWER + b"X-A : b\r\n\r\n", "space before the colon"),
    (ANSWER + b"X-A: a\n b\n\n", "a folded line (obs-fold)"),
    (ANSWER + b"X-A: a\0b\r\n\r\n", "NUL byte"),
    (ANSWER + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "more than one Content-Length, and they differ"),
    (ANSWER + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "Content-Length with Transfer-Encoding"),
    (ANSWER + b"X-A: " + b"y" * 20000, "head over limits.header_bytes"),
    (ANSWER + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", "a chunk size that is not a hexadecimal number"),
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "a 101 that nobody asked for"),
    (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 101, "more than 100 interim answers"),
]

# Odd, and passed on.
ODD = [
    ANSWER + b"Set-Cookie: a=\x01b\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    ANSWER + b"Transfer-Encoding: chunked\r\n\r\n2     \r\nok\r\n0     \r\n\r\n",
    b"\r\nHTTP/1.0 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
]


def speaker(answer):
    """A backend that takes the head of a request, and says this."""
    def script(peer, _number):
        peer.read_head()
        peer.send(answer)
        peer.read_to_end()

    return script


def final_answer(client):
    while True:
        head, content = client.answer()
        if not head.startswith(b"HTTP/1.1 1"):
            return head, content


class Refusals(raw.Conversation):
    def test_a_refused_request_is_told_by_the_same_name_everywhere(self):
        with tempfile.NamedTemporaryFile() as log, \
                self.rondo(self.backend(raw.serve), settings=[f"log.access={log.name}"]) as rondo:
            for request, status, rule, line in REQUESTS:
                with self.subTest(rule=rule, request=request[:60]):
                    client = self.client(rondo)
                    client.send(request)
                    head, content = client.answer()
                    self.assertTrue(head.startswith(b"HTTP/1.1 %d " % status), head)
                    self.assertEqual(json.loads(content)["detail"], f"The request is refused: {rule}.")
                    shown = line.replace(" HTTP/1.1", "") if line != "-" else "request"
                    self.wait_for_line(rondo, f"info: {shown} from 127.0.0.1 refused: {rule}")
                    wanted = (f'"{line}" {status} ', f' end=limit rule="{rule}" ')
                    self.wait_until(lambda parts=wanted: all(part in last_line(log.name) for part in parts),
                                    lambda: last_line(log.name))

    def test_a_refused_answer_is_told_by_the_same_name_everywhere(self):
        for answer, rule in ANSWERS:
            with self.subTest(rule=rule, answer=answer[:60]), tempfile.NamedTemporaryFile() as log:
                backend = self.backend(speaker(answer))
                settings = [f"log.access={log.name}", "log.format=json"]
                with self.watched(backend, settings=settings) as (rondo, page):
                    client = self.client(rondo)
                    client.send(HOST + b"\r\n")
                    head, content = final_answer(client)
                    self.assertTrue(head.startswith(b"HTTP/1.1 502 "), head)
                    self.assertEqual(json.loads(content)["detail"],
                                     f"A backend sent something that is no HTTP response: {rule}.")
                    self.wait_for_line(rondo, rule)
                    self.wait_until(lambda: last_line(log.name).endswith("}\n"))
                    self.assertEqual(json.loads(last_line(log.name))["rule"], rule)
                    failure = json.loads(page("/status.json"))["backends"][0]["last_failures"][0]
                    self.assertEqual(failure["text"], f"broken response: {rule}")

    def test_a_post_whose_answer_is_odd_gets_it_and_the_backend_stays_up(self):
        for answer in ODD:
            with self.subTest(answer=answer):
                backend = self.backend(speaker(answer))
                with self.watched(backend) as (rondo, page):
                    client = self.client(rondo)
                    client.send(POST + b"Content-Length: 1\r\n\r\nx")
                    status, _, content = client.receive()
                    self.assertEqual((status, content), (200, b"ok"))
                    state = json.loads(page("/status.json"))["backends"][0]
                    self.assertEqual((state["state"], state["failures"]), ("up", {}))


def last_line(path):
    with open(path, encoding="latin-1") as file:
        lines = file.readlines()
    return lines[-1] if lines else ""


if __name__ == "__main__":
    raw.main(__doc__)
