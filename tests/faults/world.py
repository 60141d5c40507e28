"""What the fault tests share: their list, backends that are processes, calls that fail, and a world for each test.

Everything waits for an event with a limit. A test that cannot run here raises Skip.
"""

import contextlib
import os
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import processes  # noqa: E402
from clients import Client, ask, request  # noqa: E402,F401
from peer import Peer  # noqa: E402
from ports import free_port  # noqa: E402,F401
from programs import Printer  # noqa: E402
from report import Skip  # noqa: E402
from rondo import Rondo  # noqa: E402
from waiting import PATIENCE, wait_until  # noqa: E402

DOWN = r"backend .* is down"
TESTS = []


def fault(identity, sentence):
    """Registers a test by the id of its fault and what has to come of it."""

    def register(test):
        TESTS.append((identity, sentence, test))
        return test

    return register


class ProcessBackend(Printer):
    """backend.py: a backend that can be stopped and killed, and says what it does."""

    def __init__(self, name="b", place="0"):
        self.place = place
        self.said = []
        super().__init__([sys.executable, os.path.join(HERE, "backend.py"), name, place], name=name)
        threading.Thread(target=self._read, daemon=True).start()

    def _wait_ready(self):
        self.place = self.process.stdout.readline().decode().strip()

    @property
    def url(self):
        return f"unix:{self.place}" if self.place.startswith("/") else f"http://127.0.0.1:{self.place}"

    def _read(self):
        for line in self.process.stdout:
            self.said.append(line.decode().rstrip("\n"))

    def count(self, line):
        return self.said.count(line)

    def wait_said(self, line, count=1):
        wait_until(f"{self.name}: {count} times {line!r}", lambda: self.count(line) >= count)


# ---- calls that fail


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

    def stop(self):
        """Ends it; the calls there were, a line each. Whoever it leaves in the middle of a call that it
        makes fail sees one that does not exist, so it leaves when its victim sleeps."""
        asleep = 0
        end = time.monotonic() + PATIENCE
        while asleep < 5 and time.monotonic() < end:
            asleep = asleep + 1 if processes.state(self.pid) == "S" else 0
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


# ---- clients


connect = Client
read_head = Peer.read_head
reset = Peer.reset


def receive(client):
    return client.receive()


def read_to_end(client):
    """All that comes; True when the end came in order, False after a reset."""
    return client.read_to_end(), not client.was_reset


def assert_served(proxy, count=50, target="/{}"):
    """So many requests are answered rightly, each on a connection of its own; {} is the number of the request."""
    for number in range(count):
        path = target.format(number)
        status, _, content = ask(proxy, path)
        assert status == 200 and content.endswith(f" {path}".encode()), (status, content)


# ---- one test


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
        backend = ProcessBackend(name, place)
        self.stack.callback(backend.kill)
        return backend

    def proxy(self, backends, *settings, **options):
        """Idle backend connections go soon, so that descriptors can be counted."""
        soon = ["timeouts.backend_idle=200ms", "timeouts.drain=500ms"]
        proxy = Rondo(self.binary, backends, soon + list(settings), **options)
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


def allow_descriptors(wanted):
    """Raises our own limit as far as it goes; how many there are for a test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(wanted, hard - 2000)


def cpu_share(proxy, seconds=1.0):
    """Of one processor, while `seconds` pass."""
    before, begin = proxy.cpu_seconds(), time.monotonic()
    select.select([], [], [], seconds)
    return (proxy.cpu_seconds() - before) / (time.monotonic() - begin)
