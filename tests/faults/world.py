"""What the fault tests share: a rondo under any wrapper, backends that are processes, clients by the byte.

Everything waits for an event with a limit. A test that cannot run here raises Skip.
"""

import contextlib
import http.client
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from harness import BROKEN, READY, free_port  # noqa: E402,F401

PATIENCE = 40  # seconds for anything at all to happen; a test that needs them has failed
TICKS = os.sysconf("SC_CLK_TCK")
TESTS = []


class Skip(Exception):
    """The machine does not allow what the test needs."""


def fault(identity, sentence):
    """Registers a test by the id of its fault and what has to come of it."""

    def register(test):
        TESTS.append((identity, sentence, test))
        return test

    return register


def wait_until(what, condition, limit=PATIENCE):
    end = time.monotonic() + limit
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit} s")
        time.sleep(0.01)


def allow_descriptors(wanted):
    """Raises our own limit as far as it goes; how many there are for a test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(wanted, hard - 2000)


class Backend:
    """backend.py as a process of its own."""

    def __init__(self, name="b", place="0"):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "backend.py"), name, place],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.place = self.process.stdout.readline().strip()
        self.url = "unix:" + self.place if place != "0" and place.startswith("/") else \
            f"http://127.0.0.1:{self.place}"
        self.said = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))

    def count(self, line):
        return self.said.count(line)

    def wait_said(self, line, count=1):
        wait_until(f"{self.name}: {count} times {line!r}", lambda: self.count(line) >= count)

    def signal(self, number):
        self.process.send_signal(number)

    def close(self):
        self.process.kill()
        self.process.wait()


class Proxy:
    """A running rondo. `prefix` is put before its command, as in ("prlimit", "--nofile=64")."""

    def __init__(self, binary, backends, settings=(), **options):
        urls = [one if isinstance(one, str) else one.url for one in backends]
        listen = options.pop("listen", "127.0.0.1:0")
        command = [*options.pop("prefix", ()), binary, "--listen", listen]
        if "config" in options:
            command += ["-c", options.pop("config")]
        for url in urls:
            command += ["--backend", url]
        for setting in settings:
            command += ["--set", setting]
        environment = dict(os.environ, NO_COLOR="1", **options.pop("environment", {}))
        wait = options.pop("wait", True)
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.PIPE)
        self.log = []
        self.port = int(listen.rpartition(":")[2])
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, **options)
        self.reader = None
        if self.process.stderr:
            self.reader = threading.Thread(target=self._read, daemon=True)
            self.reader.start()
        if wait and self.process.stderr:
            self.wait_log(READY)

    def _read(self):
        for line in self.process.stderr:
            text = line.decode(errors="replace").rstrip("\n")
            if READY in text:
                self.port = int(text.split(READY)[1].split(",")[0].rpartition(":")[2])
            self.log.append(text)

    @property
    def pid(self):
        return self.process.pid

    def wait_log(self, pattern, count=1):
        def look():
            has_ended = self.process.poll() is not None and not self.reader.is_alive()
            if self.count_log(pattern) >= count:
                return True
            assert not has_ended, f"{pattern!r} never came"
            return False

        try:
            wait_until(f"{pattern!r} in the log", look)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def count_log(self, pattern):
        return sum(1 for line in list(self.log) if re.search(pattern, line))

    def tail(self):
        return "\n".join("    " + line for line in self.log[-20:])

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def descriptors(self):
        """How many are open; pipes are not counted, because they are kept for the next splice."""
        count = 0
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                count += not os.readlink(f"/proc/{self.pid}/fd/{name}").startswith("pipe:")
        return count

    def status(self, name):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return re.search(rf"^{name}:\s+(\S+)", status.read(), re.M).group(1)

    def rss_kib(self):
        return int(self.status("VmRSS"))

    def wait_descriptors(self, base):
        try:
            wait_until("descriptors given back", lambda: self.descriptors() <= base)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.descriptors()}, were {base}") from None

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """Ends it cleanly, and raises when its life was not clean."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError("it did not end after SIGTERM\n" + self.tail()) from None
        if self.reader:
            self.reader.join(PATIENCE)
        broken = [line for line in self.log if any(word in line for word in BROKEN)]
        assert status == 0 and not broken, f"exit status {status}\n{self.tail()}"

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def quietly_injects():
    """Can strace attach to a process that is not its child?"""
    with subprocess.Popen(["sleep", "60"]) as victim:
        try:
            Injection(victim.pid, "read:error=EINTR:when=1000").stop()
            return True
        except (AssertionError, OSError):
            return False
        finally:
            victim.kill()


class Strace:
    """strace looks at some system calls of a running process."""

    def __init__(self, pid, calls, *options):
        self.output = tempfile.NamedTemporaryFile(mode="r", prefix="rondo-strace.", encoding="ascii",
                                                  errors="replace")
        self.pid = pid
        command = ["strace", "-f", *options, "-e", "trace=" + calls, "-o", self.output.name, "-p", str(pid)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = self.process.stderr.readline()
        if "attached" not in said:
            self.process.kill()
            self.process.wait()
            self.output.close()
            raise AssertionError("strace: " + said)

    def is_waiting(self):
        with open(f"/proc/{self.pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(") ")[2].startswith("S")

    def stop(self):
        """Ends it; the calls there were, a line each. Whoever it leaves in the middle of a call that it
        makes fail sees one that does not exist, so it leaves when its victim sleeps."""
        asleep = 0
        end = time.monotonic() + PATIENCE
        while asleep < 5 and time.monotonic() < end:
            asleep = asleep + 1 if self.is_waiting() else 0
            time.sleep(0.002)
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.process.stderr.close()
        with self.output as output:
            return output.read()


class Injection(Strace):
    """strace makes system calls fail: "accept4:error=EMFILE:when=1+2".

    Several calls may share a rule ("sendto,sendmsg:..."), and one that this machine does not have is
    marked by "?". Leaving it raises where a rule made no call fail: then nothing was tested.
    """

    def __init__(self, pid, *rules):
        self.rules = rules
        options = [word for rule in rules for word in ("-e", "inject=" + rule)]
        super().__init__(pid, ",".join(rule.partition(":")[0] for rule in rules), *options)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        lines = re.findall(r"^(?:\d+ +)?(\w+)\(.* = -1 (\w+) .*\(INJECTED\)$", self.stop(), re.M)
        injected = {" ".join(line) for line in lines}
        for rule in self.rules if kind is None else ():
            names, error = re.match(r"([^:]+):error=(\w+)", rule).groups()
            wanted = {f"{name.lstrip('?')} {error}" for name in names.split(",")}
            assert wanted & injected, f"{rule} made no call fail: {injected}"
        return False


def connect(proxy, source=None):
    client = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE, source)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def request(target="/", method="GET", fields="", content=b""):
    length = f"Content-Length: {len(content)}\r\n" if content else ""
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\n{length}{fields}\r\n".encode() + content


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def receive(client):
    """Status, fields and content of one answer; raises when it is cut off."""
    response = http.client.HTTPResponse(client)
    response.begin()
    content = response.read()
    return response.status, response.headers, content


def ask(proxy, target="/", method="GET", fields="", content=b""):
    """One request on a connection of its own."""
    with connect(proxy) as client:
        client.sendall(request(target, method, fields, content))
        return receive(client)


def read_to_end(client):
    """All that comes; True when the end came in order, False after a reset."""
    data = b""
    try:
        while piece := client.recv(65536):
            data += piece
        return data, True
    except ConnectionResetError:
        return data, False


class World:
    """One test's processes and files, gone at its end."""

    def __init__(self, binary):
        self.binary = binary
        self.stack = contextlib.ExitStack()
        self.directory = self.stack.enter_context(tempfile.TemporaryDirectory())
        os.chmod(self.directory, 0o755)
        self.told = ""

    def path(self, name):
        return os.path.join(self.directory, name)

    def tell(self, text):
        """Goes behind the name of the test in the report."""
        self.told = text

    def backend(self, name="b", place="0"):
        backend = Backend(name, place)
        self.stack.callback(backend.close)
        return backend

    def proxy(self, backends, *settings, **options):
        """Idle backend connections go soon, so that descriptors can be counted."""
        soon = ["timeouts.backend_idle=200ms", "timeouts.drain=500ms"]
        proxy = Proxy(self.binary, backends, soon + list(settings), **options)
        self.stack.callback(proxy.kill)
        return proxy

    def keep(self, client):
        return self.stack.enter_context(client)

    def is_sanitized(self):
        """AddressSanitizer has a malloc of its own, and keeps what was freed."""
        with open(self.binary, "rb") as binary:
            return b"__asan_init" in binary.read()

    def inject(self, proxy, *rules):
        if not World.can_inject:
            raise Skip("strace is not installed or may not attach")
        return Injection(proxy.pid, *rules)

    can_inject = False

    def close(self):
        self.stack.close()


def cpu_share(proxy, seconds=1.0):
    """Of one processor, while `seconds` pass."""
    before, begin = proxy.cpu_seconds(), time.monotonic()
    select.select([], [], [], seconds)
    return (proxy.cpu_seconds() - before) / (time.monotonic() - begin)
