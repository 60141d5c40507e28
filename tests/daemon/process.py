"""A rondo under test, and a supervisor for it: sockets passed on, a place for its notifications.

Everything waits for an event with a limit, never for a time to pass.
"""

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

LIMIT = 30
BROKEN = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion")

# Becomes rondo with the descriptors where it looks for them; only a process itself knows its id beforehand.
LAUNCH = """
import fcntl, os, sys
passed = [fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, 100) for fd in sys.argv[1].split()]
for place, fd in enumerate(passed, 3):
    os.dup2(fd, place)
for name in ("LISTEN_PID", "WATCHDOG_PID"):
    os.environ.setdefault(name, str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def wait_until(what, condition, limit=LIMIT):
    """Waits until `condition` answers something true, and answers that."""
    end = time.monotonic() + limit
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit} s")
        time.sleep(0.005)


def is_alive(pid):
    """Is there such a process, and is it no zombie?"""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Supervisor:
    """What $NOTIFY_SOCKET leads to: every datagram with the process it came from, in order."""

    def __init__(self, abstract=False):
        self.messages = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        if abstract:
            self.socket.bind(f"\0rondo-test-{os.getpid()}-{id(self)}")
            self.address = "@" + self.socket.getsockname()[1:].decode()
        else:
            self.place = tempfile.TemporaryDirectory()
            self.address = self.place.name + "/notify"
            self.socket.bind(self.address)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        room = socket.CMSG_SPACE(struct.calcsize("3i"))
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(65536, room)
            except OSError:
                return
            pid = struct.unpack("3i", ancillary[0][2])[0]
            self.messages.append((pid, data.decode().split("\n")))

    def wait(self, line, pid=None, after=0):
        """The position after the first message that has a line matching `line`."""

        def look():
            for position, (sender, lines) in enumerate(self.messages[after:], after + 1):
                if pid in (None, sender) and any(re.fullmatch(line, text) for text in lines):
                    return position
            return None

        try:
            return wait_until(f"notification {line}", look)
        except AssertionError as error:
            raise AssertionError(f"{error}; there were {self.messages}") from None

    def lines(self, pid=None):
        return [text for sender, lines in self.messages if pid in (None, sender) for text in lines]

    def close(self):
        self.socket.close()


class Daemon:
    """One life of rondo, successors included: they write to the same log."""

    def __init__(self, binary, arguments=(), sockets=(), supervisor=None, environment=None,
                 wait=True):
        """`sockets` are pairs of a socket, or a descriptor, and the name it is passed under."""
        self.log = []
        environment = {"PATH": os.environ["PATH"], "NO_COLOR": "1", **(environment or {})}
        environment.update({name: value for name, value in os.environ.items() if "SAN_" in name})
        if supervisor:
            environment["NOTIFY_SOCKET"] = supervisor.address
        command = [str(binary), *map(str, arguments)]
        descriptors = [one if isinstance(one, int) else one.fileno() for one, _ in sockets]
        if sockets:
            environment["LISTEN_FDS"] = str(len(sockets))
            environment["LISTEN_FDNAMES"] = ":".join(name for _, name in sockets)
        if sockets or "WATCHDOG_USEC" in environment:
            command = [sys.executable, "-c", LAUNCH, " ".join(map(str, descriptors)), *command]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, errors="replace", env=environment, pass_fds=descriptors)
        self.pid = self.process.pid
        self.pids = [self.pid]
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if wait:
            self.wait_log("ready: listening on")

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))

    @property
    def port(self):
        """Of the first address in the newest line that tells them."""
        line = [line for line in self.log if "ready: listening on " in line][-1]
        return int(line.split("listening on ")[1].split(",")[0].rpartition(":")[2])

    def signal(self, number):
        os.kill(self.pid, number)

    def wait_log(self, pattern, after=0):
        """The match of the first line of the log that has `pattern`."""

        def look():
            is_whole = self.process.poll() is not None and not self.reader.is_alive()
            for line in self.log[after:]:
                match = re.search(pattern, line)
                if match:
                    return match
            if is_whole:
                raise AssertionError(f"{pattern!r} never came; the log:\n" + self.tail())
            return None

        try:
            return wait_until(f"{pattern!r} in the log", look)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def count_log(self, pattern):
        return sum(1 for line in self.log if re.search(pattern, line))

    def tail(self):
        return "\n".join("    " + line for line in self.log[-30:])

    def succeed(self):
        """USR2, and this object follows the successor. Answers its process id."""
        before = len(self.log)
        self.signal(signal.SIGUSR2)
        match = self.wait_log(r"process (\d+) is ready and takes over", before)
        self.pid = int(match.group(1))
        self.pids.append(self.pid)
        return self.pid

    def wait_exit(self):
        """The exit status of the first process."""
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise AssertionError("it did not end\n" + self.tail()) from None

    def stop(self):
        """Ends it cleanly, and raises when its life was not clean."""
        if is_alive(self.pid):
            self.signal(signal.SIGTERM)
        if len(self.pids) > 1:
            wait_until("the successor's end", lambda: not is_alive(self.pid))
        status = self.wait_exit()
        self.reader.join(LIMIT)
        broken = [line for line in self.log if any(word in line for word in BROKEN)]
        assert status == 0 and not broken, f"exit status {status}\n" + self.tail()

    def kill(self):
        for pid in self.pids:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            try:
                self.stop()
            finally:
                self.kill()
        else:
            self.kill()
            self.reader.join(LIMIT)
            print("\n".join("    " + line for line in self.log[:60]))
        return False
