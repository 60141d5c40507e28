"""The rondo under test: started on a port of the kernel's choice, signalled, looked at, ended by its process id.

All that it writes to stderr is kept, so that a failing test can show it and no report of a sanitizer is lost.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading

import processes
from waiting import PATIENCE, wait_until

LOCAL = "127.0.0.1:0"
READY = "ready: listening on "
BROKEN = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion")

# What a supervisor of the tests themselves would tell.
OF_SUPERVISORS = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")

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


def binary_from_arguments(usage):
    """The path of rondo is the first argument of every test program."""
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        print(usage, file=sys.stderr)
        raise SystemExit(2)
    return os.path.abspath(sys.argv[1])


def write_config(path, text):
    """Writes a file whole and at once: a rondo that reads it meanwhile sees the old one or the new one."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(path + ".new", path)


class Rondo:
    """One life of rondo, successors included: they write to the same log.

    Use it as a context manager, or call stop() or end(), and kill() where the test may have failed before."""

    def __init__(self, binary, backends=(), settings=(), config=None, listen=LOCAL, *, prefix=(), environment=None,
                 sockets=(), supervisor=None, wait=True, **options):
        """`backends` are URLs or have one. `prefix` is put before the command, as in ("prlimit", "--nofile=64").
        `sockets` are pairs of a socket, or a descriptor, and the name it is passed under. Without `wait` it may not
        be ready yet. All other options are those of Popen."""
        command = [*prefix, binary, *(["-c", config] if config else []), *(["--listen", listen] if listen else [])]
        for backend in backends:
            command += ["--backend", getattr(backend, "url", backend)]
        for setting in settings:
            command += ["--set", setting]
        self.binary = binary
        self.lines = []  # of its log
        self.has_ended = False
        self.port = port_of(listen or "")
        self.process = self._start(command, environment or {}, sockets, supervisor, options)
        self.pid = self.process.pid
        self.pids = [self.pid]
        self.reader = None
        if self.process.stderr:
            self.reader = threading.Thread(target=self._read, daemon=True)
            self.reader.start()
            if wait:
                self._wait_ready()

    @staticmethod
    def _start(command, environment, sockets, supervisor, options):
        inherited = {name: text for name, text in os.environ.items() if name not in OF_SUPERVISORS}
        environment = {**inherited, "NO_COLOR": "1", **environment}
        descriptors = [one if isinstance(one, int) else one.fileno() for one, _ in sockets]
        if supervisor:
            environment["NOTIFY_SOCKET"] = supervisor.address
        if sockets:
            environment["LISTEN_FDS"] = str(len(sockets))
            environment["LISTEN_FDNAMES"] = ":".join(name for _, name in sockets)
        if sockets or "WATCHDOG_USEC" in environment:
            command = [sys.executable, "-c", LAUNCH, " ".join(map(str, descriptors)), *command]
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(command, text=True, errors="replace", env=environment, pass_fds=descriptors, **options)

    def _read(self):
        for line in self.process.stderr:
            if READY in line:  # the first address counts
                self.port = port_of(line.split(READY)[1].split()[0].rstrip(","))
            self.lines.append(line.rstrip("\n"))

    def _wait_ready(self):
        try:
            self.wait_log(READY)
        except AssertionError:
            self.kill()
            raise

    # ---- its log

    def wait_log(self, pattern, after=0, count=1):
        """Waits for so many lines that have `pattern`, the first `after` lines left out; the match in the last."""

        def look():
            is_whole = self.process.poll() is not None and not self.reader.is_alive()
            matches = [match for match in (re.search(pattern, line) for line in self.lines[after:]) if match]
            if len(matches) < count and is_whole:
                raise AssertionError(f"{pattern!r} never came")
            return matches[count - 1] if len(matches) >= count else None

        try:
            return wait_until(f"{pattern!r} in the log", look)
        except AssertionError as error:
            raise AssertionError(f"{error}; the log:\n{self.tail()}") from None

    def count_log(self, pattern):
        return sum(1 for line in list(self.lines) if re.search(pattern, line))

    def tail(self, count=30):
        return "\n".join("    " + line for line in self.lines[-count:])

    # ---- what the kernel tells of it

    def status(self, name):
        """A line of /proc/PID/status."""
        return processes.status(self.pid, name)

    def memory_kib(self):
        return processes.memory_kib(self.pid)

    def cpu_seconds(self):
        return processes.cpu_seconds(self.pid)

    def descriptors(self):
        """How many are open, without pipes."""
        return processes.descriptors(self.pid)

    def wait_descriptors(self, most):
        """Waits until no more than so many are open."""
        try:
            wait_until("descriptors given back", lambda: self.descriptors() <= most)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.descriptors()}, not {most}") from None

    # ---- signals

    def signal(self, number):
        os.kill(self.pid, number)

    def reload(self, pattern="reloaded"):
        """HUP, and waits for the line that tells what came of it."""
        before = len(self.lines)
        self.signal(signal.SIGHUP)
        return self.wait_log(pattern, before)

    def succeed(self):
        """USR2, and this object follows the successor. Answers its process id."""
        before = len(self.lines)
        self.signal(signal.SIGUSR2)
        match = self.wait_log(r"process (\d+) is ready and takes over", before)
        self.pid = int(match.group(1))
        self.pids.append(self.pid)
        return self.pid

    @contextlib.contextmanager
    def frozen(self):
        """Whatever happens meanwhile, rondo finds all of it when it goes on."""
        self.signal(signal.SIGSTOP)
        try:
            wait_until("rondo is stopped", lambda: processes.state(self.pid) == "T")
            yield
        finally:
            self.signal(signal.SIGCONT)

    # ---- its end

    def wait_exit(self):
        """The exit status of the first process."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError("it did not end\n" + self.tail()) from None

    def end(self):
        """Ends it; what was wrong with its life, or an empty string. Says so once."""
        if self.has_ended:
            return ""
        self.has_ended = True
        if processes.is_alive(self.pid):
            self.signal(signal.SIGTERM)
        try:
            if len(self.pids) > 1:
                wait_until("the successor's end", lambda: not processes.is_alive(self.pid))
            status = self.wait_exit()
        except AssertionError as error:
            self.kill()
            return str(error)
        if self.reader:
            self.reader.join(PATIENCE)
        is_broken = any(word in line for line in self.lines for word in BROKEN)
        return f"exit status {status}\n{self.tail(60)}" if status != 0 or is_broken else ""

    def stop(self):
        """Ends it, and raises when its life was not clean."""
        wrong = self.end()
        assert not wrong, wrong

    def kill(self):
        """Ends it however it is."""
        self.has_ended = True
        for pid in self.pids:
            if processes.is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
            return
        self.kill()
        if self.reader:
            self.reader.join(PATIENCE)
        print(self.tail(60))


def port_of(address):
    """0 where it has none."""
    port = address.rpartition(":")[2]
    return int(port) if port.isdigit() else 0
