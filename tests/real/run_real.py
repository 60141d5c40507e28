#!/usr/bin/env python3
"""usage: run_real.py RONDO

rondo between programs that people use: nginx, uvicorn with FastAPI and websockets behind it, curl,
wrk, ab, Python's http.client and the docker client in front of it, curl also with NTLM; and hitch, HAProxy and nginx that
end TLS in front of it, with the configurations of conf/examples. What is not installed is skipped. Ends with
"N passed, N failed".
"""

import http.client
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import containers  # noqa: E402
import files  # noqa: E402
import logins  # noqa: E402
import ring  # noqa: E402
import servers  # noqa: E402
import terminators  # noqa: E402
import tunnel  # noqa: E402
from report import Report  # noqa: E402
from rondo import Rondo, binary_from_arguments  # noqa: E402


def has_module(name):
    return subprocess.run([sys.executable, "-c", f"import {name}"], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def posted_json(rondo, report):
    """JSON of every size comes back as it was."""
    connection = http.client.HTTPConnection("127.0.0.1", rondo.port, timeout=30)
    for size in (0, 1, 100, 10000, 1000000):
        document = {"size": size, "text": "ä\"\\\n" * (size // 5), "list": list(range(size % 1000))}
        connection.request("POST", "/echo", json.dumps(document),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        same = answer.status == 200 and json.load(answer) == document
        report.check(f"JSON of {size} bytes is echoed", "" if same else f"status {answer.status}")
    connection.close()


def curl(rondo, report, arguments, *, want):
    """What curl prints contains `want`."""
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "60", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    shown = " ".join(argument for argument in arguments if not argument.startswith("/"))
    report.check("curl " + shown.replace(f"127.0.0.1:{rondo.port}", "RONDO"),
                 "" if done.returncode == 0 and want in done.stdout else
                 f"status {done.returncode}: {done.stdout[:300]!r}")


def curled(rondo, report, directory):
    """Uploads with Expect, in chunks and by HTTP/1.0; events as they come; many at a time."""
    if not servers.find("curl"):
        report.skip("curl", "not installed")
        return
    url = f"http://127.0.0.1:{rondo.port}"
    path = os.path.join(directory, "upload")
    content = bytes(range(256)) * 20000
    with open(path, "wb") as out:
        out.write(content)
    want = f'"bytes":{len(content)},"sum":{sum(content) % (1 << 32)}'
    curl(rondo, report, ["-T", path, f"{url}/upload"], want=want)
    curl(rondo, report, ["-H", "Expect: 100-continue", "-T", path, f"{url}/upload"], want=want)
    curl(rondo, report, ["-H", "Transfer-Encoding: chunked", "-T", path, f"{url}/upload"],
         want=want)
    curl(rondo, report, ["-0", "-T", path, f"{url}/upload"], want=want)
    curl(rondo, report, ["-N", f"{url}/events"], want="data: 9")
    curl(rondo, report, ["-0", "-N", f"{url}/events"], want="data: 9")
    curl(rondo, report, ["--fail", f"{url}/?[1-50]"], want="ok")
    curl(rondo, report, ["--fail", "--parallel", f"{url}/?[1-200]"], want="ok")
    os.unlink(path)


def applications(binary, report):
    if not has_module("uvicorn") or not has_module("fastapi"):
        report.skip("uvicorn", "needs python3-uvicorn and python3-fastapi for " + sys.executable)
        return
    with servers.uvicorn() as first, servers.uvicorn() as second:
        with Rondo(binary, [first.url, second.url], ["log.level=debug"]) as rondo:
            posted_json(rondo, report)
            curled(rondo, report, "/tmp" if not os.environ.get("TMPDIR") else os.environ["TMPDIR"])
            report.check("rondo in front of uvicorn stops cleanly", rondo.end())
    ring.play(binary, report)


def main():
    binary = binary_from_arguments(__doc__.splitlines()[0])
    report = Report(quiet=False)
    if servers.find("nginx"):
        files.play(binary, report)
    else:
        report.skip("nginx", "not installed")
    applications(binary, report)
    if has_module("websockets"):
        tunnel.play(binary, report)
    else:
        report.skip("websockets", "needs python3-websockets for " + sys.executable)
    if servers.find("curl"):
        logins.play(binary, report)
    terminators.play(binary, report)
    if servers.find("docker"):
        containers.play(binary, report)
    else:
        report.skip("docker", "not installed")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
