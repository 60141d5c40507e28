"""nginx behind rondo: files of all sizes, ranges, validators, and thousands of small requests."""

import hashlib
import http.client
import os
import random
import re
import subprocess
import threading

import servers
from rondo import Rondo

SIZES = (0, 1, 1000, 16384, 65536, 65537, 1 << 20, 100 * 1000 * 1000)
BLOCK = 1 << 20


def write_files(directory):
    """{name: (size, SHA-256)}; the content is random, and the same each time."""
    written = {}
    source = random.Random(42)
    for size in SIZES:
        digest = hashlib.sha256()
        with open(os.path.join(directory, f"{size}"), "wb") as out:
            for at in range(0, size, BLOCK):
                block = source.randbytes(min(BLOCK, size - at))
                digest.update(block)
                out.write(block)
        written[f"{size}"] = size, digest.hexdigest()
    return written


class Browser:
    """One kept connection."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.connection.connect()
        self.socket = self.connection.sock

    def ask(self, method, path, fields=None):
        self.connection.request(method, path, headers=fields or {})
        return self.connection.getresponse()

    def was_kept(self):
        return self.connection.sock is self.socket

    def close(self):
        self.connection.close()


def whole_files(browser, written, report):
    for name, (size, digest) in written.items():
        answer = browser.ask("GET", "/" + name)
        seen, length = hashlib.sha256(), 0
        while block := answer.read(BLOCK):
            seen.update(block)
            length += len(block)
        report.check(f"GET of {size} bytes", "" if answer.status == 200 and length == size
                     and seen.hexdigest() == digest else f"{answer.status}, {length} bytes")
        answer = browser.ask("HEAD", "/" + name)
        answer.read()
        said = answer.getheader("Content-Length")
        report.check(f"HEAD of {size} bytes", "" if answer.status == 200 and said == str(size)
                     else f"{answer.status}, Content-Length {said}")
    report.check("one connection served all of it", "" if browser.was_kept() else "it was replaced")


def parts_of_files(browser, directory, report):
    with open(os.path.join(directory, f"{1 << 20}"), "rb") as file:
        content = file.read()
    for wanted, first, last in (("0-0", 0, 1), ("1000-65999", 1000, 66000), ("-100", -100, None),
                                ("1048575-", 1048575, None)):
        answer = browser.ask("GET", f"/{1 << 20}", {"Range": f"bytes={wanted}"})
        report.check(f"range {wanted}", "" if answer.status == 206 and answer.read() ==
                     content[first:last] else f"status {answer.status}")
    answer = browser.ask("GET", f"/{1 << 20}", {"Range": "bytes=0-9,100-109"})
    body = answer.read()
    report.check("two ranges at once", "" if answer.status == 206 and content[:10] in body
                 and content[100:110] in body else f"status {answer.status}")
    answer = browser.ask("GET", f"/{1 << 20}", {"Range": "bytes=9999999-"})
    answer.read()
    report.check("a range that does not exist", "" if answer.status == 416 else f"{answer.status}")


def validators(browser, report):
    answer = browser.ask("GET", "/1000")
    answer.read()
    tag = answer.getheader("ETag")
    answer = browser.ask("GET", "/1000", {"If-None-Match": tag})
    body = answer.read()
    report.check("304 for what the client has", "" if answer.status == 304 and not body
                 else f"status {answer.status}")
    for method, path, status in (("GET", "/none", 404), ("POST", "/1000", 405),
                                 ("GET", "/1000", 200)):
        answer = browser.ask(method, path)
        answer.read()
        report.check(f"{method} {path} is {status}", "" if answer.status == status
                     else f"status {answer.status}")


def many_requests(port, report):
    """2000 requests on one connection, and 20 clients that fetch a megabyte at the same time."""
    browser = Browser(port)
    wrong = sum(1 for _ in range(2000) if len(browser.ask("GET", "/1000").read()) != 1000)
    kept = browser.was_kept()
    browser.close()
    report.check("2000 requests on one connection", "" if not wrong and kept else f"{wrong} wrong")
    lengths = []

    def fetch():
        one = Browser(port)
        lengths.append(len(one.ask("GET", f"/{1 << 20}").read()))
        one.close()

    threads = [threading.Thread(target=fetch) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.check("20 clients at a time", "" if lengths == [1 << 20] * 20 else f"{lengths}")


def wrk(port, report):
    if not servers.find("wrk"):
        report.skip("wrk", "not installed")
        return
    done = subprocess.run(["wrk", "-t2", "-c64", "-d2s", f"http://127.0.0.1:{port}/1000"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    errors = re.findall(r"(Socket errors.*|Non-2xx.*)", done.stdout)
    report.check("wrk sees no error", "; ".join(errors) or
                 ("" if "Requests/sec" in done.stdout and done.returncode == 0 else done.stdout))


def apache_bench(port, report):
    if not servers.find("ab"):
        report.skip("ab", "not installed")
        return
    for options in ([], ["-k"]):
        done = subprocess.run(
            ["ab", "-q", "-n", "2000", "-c", "20", *options, f"http://127.0.0.1:{port}/1000"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        failed = re.search(r"Failed requests: +(\d+)", done.stdout)
        good = done.returncode == 0 and failed and failed.group(1) == "0" \
            and "Non-2xx" not in done.stdout
        report.check("ab " + " ".join(options), "" if good else done.stdout)


def play(binary, report):
    with servers.Nginx() as nginx:
        written = write_files(nginx.files)
        with Rondo(binary, [nginx.url]) as rondo:
            browser = Browser(rondo.port)
            whole_files(browser, written, report)
            parts_of_files(browser, nginx.files, report)
            validators(browser, report)
            browser.close()
            many_requests(rondo.port, report)
            wrk(rondo.port, report)
            apache_bench(rondo.port, report)
            report.check("rondo in front of nginx stops cleanly", rondo.end())
