#!/usr/bin/env python3
"""usage: test_loops.py RONDO

Conversations in which requests come back to the rondo that sent them.
"""

import json
import tempfile

import raw
from ports import free_port
from raw import serve, value

# The request has passed as many rondos as a request may pass.
MOST = b"Via: 1.1 rondo, 1.0 RONDO (home)\r\nVia: 1.1 other, HTTP/1.1 rondo\r\nvia: " + b", ".join([b"1.1 rondo"] * 5)


def get(fields=b""):
    return b"GET /way HTTP/1.1\r\nHost: a\r\n%s\r\n" % fields


class Loops(raw.Conversation):
    def test_a_request_that_has_passed_eight_rondos_is_passed_on(self):
        with self.rondo(self.backend(serve)) as rondo:
            client = self.client(rondo)
            client.send(get(MOST + b"\r\n"))
            head, seen = client.answer()
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
            self.assertEqual(seen.lower().count(b"rondo"), 9)

    def test_one_more_is_508_and_no_backend_hears_of_it(self):
        backend = self.backend(serve)
        with tempfile.NamedTemporaryFile() as log:
            with self.rondo(backend, settings=[f"log.access={log.name}"]) as rondo:
                client = self.client(rondo)
                client.send(get(MOST + b", 1.1 rondo\r\n"))
                head, content = client.answer()
                self.assertTrue(head.startswith(b"HTTP/1.1 508 Loop Detected\r\n"), head)
                self.assertEqual(value(head, b"content-type"), b"application/problem+json")
                self.assertEqual(value(head, b"proxy-status"), b"rondo; error=proxy_loop_detected")
                self.assertEqual(json.loads(content)["status"], 508)
                self.assertEqual(backend.peers, [])
                rondo.wait_log(r"GET /way from 127\.0\.0\.1 .*has passed rondo more than eight times")
                # It was read whole.
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n" + MOST + b", 1.1 rondo\r\n\r\nabc" + get())
                self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 508 "))
                self.assertTrue(client.answer()[0].startswith(b"HTTP/1.1 200 "))
            with open(log.name, encoding="utf-8") as lines:
                self.assertRegex(lines.readline(), r'"GET /way HTTP/1.1" 508 .* end=limit')

    def test_a_rondo_that_is_its_own_backend_answers_after_nine_rounds(self):
        port = free_port()
        with tempfile.NamedTemporaryFile() as log:
            with self.rondo(f"http://127.0.0.1:{port}", listen=f"127.0.0.1:{port}",
                            settings=[f"log.access={log.name}"]) as rondo:
                for _ in range(3):
                    client = self.client(rondo)
                    client.send(get())
                    head, _ = client.answer()
                    self.assertTrue(head.startswith(b"HTTP/1.1 508 "), head)
                self.assertEqual(rondo.count_log("is down"), 0)
            with open(log.name, encoding="utf-8") as lines:
                self.assertEqual(sum('"GET /way HTTP/1.1" 508 ' in line for line in lines), 30)


if __name__ == "__main__":
    raw.main(__doc__)
