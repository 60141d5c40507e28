"""docker attach and docker exec through rondo: the real client, and a daemon with one container that echoes."""

import contextlib
import json
import os
import re
import struct
import subprocess
import tempfile

from backends import Backend
from peer import parse_head
from rondo import Rondo
from waiting import PATIENCE

CONTAINER = {"Id": "c0", "Name": "/echo", "State": {"Running": True, "Status": "running"},
             "Config": {"Tty": False, "OpenStdin": True}, "HostConfig": {"LogConfig": {"Type": "json-file"}}}
STDOUT, STDERR = 1, 2
MIB = 1 << 20


def frame(stream, data):
    """A piece of the container's output, as docker's raw stream has it."""
    return struct.pack(">BxxxI", stream, len(data)) + data


class Daemon(Backend):
    """Answers what the client asks on its way, and echoes in both kinds of streams. What it had to do with is in
    `upgrades`: the path, and what Upgrade said."""

    def __init__(self):
        self.upgrades = []
        super().__init__(self.serve)

    def serve(self, peer, _number):
        with contextlib.suppress(EOFError, OSError):
            while True:
                first, fields = parse_head(peer.read_head())
                method, target, _ = first.split()
                content = self.content(peer, fields)
                path = re.sub(r"^/v[0-9.]+|\?.*", "", target)
                if path.endswith(("/attach", "/start")):
                    self.upgrades.append((path, fields.get("upgrade")))
                    self.stream(peer, content)
                    return
                self.answer(peer, method, path)

    @staticmethod
    def content(peer, fields):
        if fields.get("transfer-encoding") == "chunked":
            return peer.read_chunks()
        return peer.read(int(fields.get("content-length", 0)))

    @staticmethod
    def answer(peer, method, path):
        answers = {"/containers/echo/json": CONTAINER, "/containers/c0/json": CONTAINER, "/_ping": "OK",
                   "/containers/echo/exec": {"Id": "e0"}, "/containers/c0/exec": {"Id": "e0"},
                   "/exec/e0/json": {"ID": "e0", "Running": False, "ExitCode": 7},
                   "/containers/c0/wait": {"StatusCode": 5}, "/containers/echo/wait": {"StatusCode": 5}}
        content = json.dumps(answers.get(path, {"message": "unknown: " + path})).encode()
        status = b"200 OK" if path in answers else b"404 Not Found"
        peer.send(b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nApi-Version: 1.44\r\nContent-Length: %d\r\n\r\n%s"
                  % (status, len(content), b"" if method == "HEAD" else content))

    @staticmethod
    def stream(peer, content):
        """Says what the request had for content, on stderr, and what comes; and something when the input has ended."""
        peer.send(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
                  b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        peer.send(frame(STDERR, b"content %d\n" % len(content)))
        count = 0
        while data := peer.recv(65536):
            count += len(data)
            peer.send(frame(STDOUT, data))
        peer.send(frame(STDERR, b"%d bytes, and the end\n" % count))


def docker(rondo, place, words, data):
    environment = {**os.environ, "DOCKER_HOST": f"tcp://127.0.0.1:{rondo.port}", "HOME": place, "DOCKER_CONFIG": place}
    return subprocess.run(["docker", *words], input=data, capture_output=True, timeout=PATIENCE, env=environment,
                          check=False)


def complaint(done, data, status):
    """Empty when all that went in came out, the end of the input was seen, and the exit status is that of the daemon."""
    wanted = b"%d bytes, and the end\n" % len(data)
    if done.stdout == data and wanted in done.stderr and done.returncode == status:
        return ""
    return f"status {done.returncode}, {len(done.stdout)} bytes of {len(data)}, {done.stderr[-300:]!r}"


def play(binary, report):
    with tempfile.TemporaryDirectory() as place, Daemon() as daemon:
        with Rondo(binary, [daemon.url], ["upgrades=tcp"]) as rondo:
            for size in (0, 3, MIB, 16 * MIB):
                data = os.urandom(size)
                done = docker(rondo, place, ["exec", "-i", "echo", "cat"], data)
                report.check(f"docker exec, {size} bytes in and out", complaint(done, data, 7))
                done = docker(rondo, place, ["attach", "echo"], data)
                report.check(f"docker attach, {size} bytes in and out", complaint(done, data, 5))
            done = docker(rondo, place, ["exec", "echo", "true"], b"")
            report.check("docker exec without input", complaint(done, b"", 7))
            asked = {upgrade for _, upgrade in daemon.upgrades}
            report.check("each of them changes to tcp", "" if asked == {"tcp"} else f"{daemon.upgrades}")
            report.check("rondo in front of a docker daemon stops cleanly", rondo.end())
