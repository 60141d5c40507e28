"""Descriptors, ports, memory and the kernel's patience run out."""

import contextlib
import itertools
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys

from namespaces import can_unshare, raise_loopback
from world import (DOWN, HERE, PATIENCE, Skip, Strace, World, ask, assert_served, connect, cpu_share, fault, read_to_end,
                   receive, request, wait_until)

LIMITED = ("prlimit", "--nofile=64:64")


def ends_of(proxy, count, target="/close"):
    """How requests end while something is short."""
    ends = []
    for number in range(count):
        try:
            with connect(proxy) as client:
                client.settimeout(PATIENCE)
                client.sendall(request(target, "POST", content=b"c" * number * 1000))
                ends.append(receive(client)[0])
        except (OSError, EOFError) as error:
            ends.append(type(error).__name__)
    return {end: ends.count(end) for end in ends}


def need(program):
    if not shutil.which(program):
        raise Skip(f"{program} is not installed")


# ---- descriptors


@fault("F26", "with few descriptors fewer clients are let in, and those are served")
def few_descriptors(world):
    need("prlimit")
    proxy = world.proxy([world.backend()], prefix=LIMITED)
    proxy.wait_log("64 are allowed: new clients wait when 16 are connected")
    clients = [world.keep(connect(proxy)) for _ in range(100)]
    for client in clients:  # when one leaves, another may enter
        client.sendall(request("/close", fields="Connection: close\r\n"))
        assert receive(client)[0] == 200
        client.close()
    assert_served(proxy)
    assert proxy.count_log("accepting pauses") == 0, proxy.tail()
    proxy.stop()


@fault("F26", "when others have taken all descriptors, nobody is marked for it, and it goes on by itself")
def descriptors_are_taken_away(world):
    need("prlimit")
    proxy = world.proxy([world.backend()], "retry_window=1h")
    own = proxy.descriptors()
    clients = [world.keep(connect(proxy)) for _ in range(30)]
    wait_until("all inside", lambda: proxy.descriptors() >= own + 30)
    change = ["prlimit", "--pid", str(proxy.pid)]
    subprocess.run([*change, f"--nofile={proxy.descriptors()}:"], check=True)
    for client in clients:
        client.sendall(request("/close"))
        assert receive(client)[0] == 503
    assert proxy.count_log(DOWN) == 0, proxy.tail()
    crowd = [connect(proxy) for _ in range(300)]
    proxy.wait_log("accepting pauses")
    share = cpu_share(proxy)
    assert share < 0.05, f"{share:.0%} of a processor while nothing can be done"
    assert proxy.count_log("accepting pauses") == 1, proxy.tail()
    for client in crowd + clients:
        client.close()
    wait_until("all outside", lambda: proxy.descriptors() < 30)
    assert_served(proxy)
    proxy.stop()
    world.tell(f"{share:.1%} CPU")


def accept_fails(error):
    def test(world):
        proxy = world.proxy([world.backend()])
        with world.inject(proxy, f"accept4:error={error}:when=1+2"):
            assert_served(proxy, 10)
        assert_served(proxy)
        assert proxy.count_log("accepting pauses") <= 1, proxy.tail()
        proxy.stop()

    return test


for name in ("EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"):
    fault("F26", f"every second accept fails with {name} and everybody is served")(accept_fails(name))
for name in ("ECONNABORTED", "EPROTO", "EINTR", "ENETUNREACH"):
    fault("F29", f"every second accept fails with {name} and everybody is served")(accept_fails(name))


@fault("F26", "accept that fails for ever costs nothing")
def accept_fails_for_ever(world):
    proxy = world.proxy([world.backend()])
    with world.inject(proxy, "accept4:error=ENFILE"):
        clients = [world.keep(connect(proxy)) for _ in range(20)]
        proxy.wait_log("accepting pauses")
        share = cpu_share(proxy)
        assert share < 0.05, f"{share:.0%} of a processor"
    for client in clients:
        client.sendall(request())
        assert receive(client)[0] == 200
    assert proxy.count_log("accepting pauses") == 1, proxy.tail()
    proxy.stop()


def backend_call_fails(rule):
    def test(world):
        proxy = world.proxy([world.backend()], "retry_window=1h")
        assert_served(proxy, 4, "/close")
        base = proxy.descriptors()
        with world.inject(proxy, rule):
            answers = [ask(proxy, "/close")[0] for _ in range(30)]
        assert set(answers) == {200, 503}, answers
        assert proxy.count_log(DOWN) == 0, proxy.tail()
        assert_served(proxy)
        proxy.wait_descriptors(base)
        proxy.stop()
        world.tell(f"{answers.count(200)} answered, {answers.count(503)} times 503")

    return test


@fault("F27", "where no descriptor is left, an idle connection gives its own to a new one")
def idle_connections_give_way(world):
    need("prlimit")
    first, second = world.backend("a"), world.backend("b")
    proxy = world.proxy([first, second], "timeouts.backend_idle=1h", "retry_window=1h")
    with connect(proxy) as client:
        def name_of_answerer():
            client.sendall(request())
            status, _, content = receive(client)
            assert status == 200, status
            return content.split()[0]

        assert name_of_answerer() == b"a"
        numbers = {int(name) for name in os.listdir(f"/proc/{proxy.pid}/fd")}
        gaps = max(numbers) + 1 - len(numbers)
        base = proxy.descriptors()
        for _ in range(gaps):
            world.keep(connect(proxy))
        wait_until("all inside", lambda: proxy.descriptors() == base + gaps)
        subprocess.run(["prlimit", "--pid", str(proxy.pid), f"--nofile={max(numbers) + 1}:"], check=True)
        assert [name_of_answerer() for _ in range(4)] == [b"b", b"a", b"b", b"a"]
    assert proxy.count_log(DOWN) == 0, proxy.tail()
    proxy.stop()


for name in ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"):
    fault("F27", f"a socket to the only backend fails with {name}: that request gets 503, and nobody is marked")(
        backend_call_fails(f"socket:error={name}:when=2+3"))
for name in ("EADDRNOTAVAIL", "ENOBUFS"):
    fault("F28", f"connect fails with {name}: that request gets 503, and nobody is marked")(
        backend_call_fails(f"connect:error={name}:when=2+3"))


# ---- ports

# In a network of its own; the clients have ports of their own choice.
IN_NETWORK = """
import sys
sys.path.insert(0, sys.argv[1])
import world, shortages
shortages.in_small_network(sys.argv[2])
"""


def in_small_network(binary):
    """Four ports for outgoing connections, all of them taken, then given back."""
    raise_loopback()
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as ports:
        ports.write("40000 40003")
    with contextlib.closing(World(binary)) as world:
        backend = world.backend("b", "9001")
        proxy = world.proxy([backend], "retry_window=1h", listen="127.0.0.1:9000")
        ports = iter(range(10000, 20000))

        def asking(target):
            client = world.keep(connect(proxy, ("127.0.0.1", next(ports))))
            client.sendall(request(target))
            return client

        waiting = [asking("/wait") for _ in range(4)]
        backend.wait_said("got /wait", 4)
        for _ in range(10):
            status, _, _ = receive(asking("/"))
            assert status == 503, status
        assert proxy.count_log(DOWN) == 0, proxy.tail()
        for client in waiting:
            client.close()
        wait_until("a port", lambda: receive(asking("/"))[0] == 200)
        proxy.stop()


@fault("F28", "without source ports a request gets 503, nobody is marked, and it goes on by itself")
def source_ports_run_out(world):
    if not can_unshare("-rn"):
        raise Skip("no network namespace is to be had")
    ended = subprocess.run(["unshare", "-rn", sys.executable, "-c", IN_NETWORK, HERE, world.binary],
                           capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    assert ended.returncode == 0, ended.stderr


# ---- calls that fail now and then


def epoll_has_no_room(rule):
    """A client, or the connection to its backend, cannot be watched, or not for what is wanted now."""

    def test(world):
        proxy = world.proxy([world.backend()])
        assert_served(proxy)
        base = proxy.descriptors()
        with world.inject(proxy, "epoll_ctl:" + rule):
            ends = ends_of(proxy, 30)
        assert_served(proxy)
        proxy.wait_descriptors(base)
        assert proxy.count_log(DOWN) == 0, proxy.tail()
        proxy.stop()
        world.tell(str(ends))

    return test


for name in ("ENOSPC", "ENOMEM"):
    for when in ("1+3", "2+3", "3+3"):
        fault("F30", f"a connection that cannot be watched is closed, others are served ({name}, {when})")(
            epoll_has_no_room(f"error={name}:when={when}"))


@fault("F34", "interrupted calls change nothing")
def calls_are_interrupted(world):
    proxy = world.proxy([world.backend()], "log.access=" + world.path("access"))
    calls = ("?epoll_wait,epoll_pwait", "accept4", "recvfrom", "sendto", "sendmsg", "write", "splice")
    with world.inject(proxy, *(f"{call}:error=EINTR:when=1+2" for call in calls)):
        assert_served(proxy, 20, "/close")
        with connect(proxy) as client:
            for size in (10, 1000, 100_000):
                content = os.urandom(size)
                client.sendall(request("/echo", "POST", content=content))
                status, _, echoed = receive(client)
                assert status == 200 and echoed == content, (status, len(echoed))
        assert len(ask(proxy, "/big/3000000")[2]) == 3_000_000
    proxy.stop()
    with open(world.path("access"), encoding="ascii") as log:
        assert len(log.readlines()) == 24


@fault("F35", "calls that move only some bytes change nothing")
def calls_move_some_bytes(world):
    memory = Memory(world)
    proxy = world.proxy([world.backend()], environment=memory.environment)
    for limit in (1, 2, 3, 5, 1000, 65537):
        memory.limit_io(limit)
        content = os.urandom(min(300_000, 3000 * limit))
        with connect(proxy) as client:
            client.sendall(request("/a") + request("/echo", "POST", content=content) +
                           request("/b", fields="Connection: close\r\n"))
            first, *rest = read_to_end(client)[0].split(b"HTTP/1.1 200 OK\r\n")[1:]
            assert first.endswith(b"\r\n\r\nb /a") and rest[1].endswith(b"\r\n\r\nb /b"), limit
            assert rest[0].endswith(b"\r\n\r\n" + content), f"{limit} bytes at a time: other content"
        size = min(3_000_000, 5000 * limit)
        assert ask(proxy, f"/big/{size}")[2] == b"x" * size
    assert proxy.count_log(DOWN) == 0, proxy.tail()
    proxy.stop()


@fault("F37", "a peer that is gone while it is written to costs its own connection")
def writes_fail(world):
    proxy = world.proxy([world.backend()], "max_delay_response=500ms")
    base = proxy.descriptors()
    told = []
    for error in ("EPIPE", "ECONNRESET"):
        with world.inject(proxy, f"sendto,sendmsg:error={error}:when=3+7"):
            ends = ends_of(proxy, 30)
        assert_served(proxy)
        proxy.wait_descriptors(base)
        assert ends.get(200, 0) >= 10, ends
        told.append(f"{error}: {ends}")
    proxy.stop()
    world.tell(", ".join(told))


@fault("F36", "a socket that says it is full when it is not loses and stops nothing")
def sockets_claim_to_be_full(world):
    proxy = world.proxy([world.backend()])
    calls = ("sendto", "sendmsg", "recvfrom", "splice")
    with world.inject(proxy, *(f"{call}:error=EAGAIN:when=1+2" for call in calls)):
        assert_served(proxy, 20, "/close")
        content = os.urandom(300_000)
        status, _, echoed = ask(proxy, "/echo", "POST", content=content)
        assert status == 200 and echoed == content, (status, len(echoed))
        assert len(ask(proxy, "/big/3000000")[2]) == 3_000_000
    share = cpu_share(proxy, 0.5)
    assert share < 0.05, f"{share:.0%} of a processor"
    proxy.stop()


# ---- pipes

ANOTHER = ("setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")

# The kernel gives a user no more than small pipes beyond a limit: opens them until they are small.
TAKE_PIPES = """
import fcntl, os, resource, sys
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
F_GETPIPE_SZ = 1032
try:
    while fcntl.fcntl(os.pipe()[0], F_GETPIPE_SZ) >= 65536:
        pass
    print("small", flush=True)
except OSError:
    print("no end of them", flush=True)
sys.stdin.read()
"""


def assert_long_contents_are_whole(proxy):
    """More than goes through a buffer, each way."""
    assert ask(proxy, "/big/3000000")[2] == b"x" * 3_000_000
    content = os.urandom(3_000_000)
    status, _, echoed = ask(proxy, "/echo", "POST", content=content)
    assert status == 200 and echoed == content, (status, len(echoed))


@fault("F61", "where the kernel gives small pipes only, content is copied and they are left alone")
def pipes_are_small(world):
    need("setpriv")
    taker = subprocess.Popen([*ANOTHER, sys.executable, "-c", TAKE_PIPES], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with taker:
        if taker.stdout.readline() != "small\n":
            raise Skip("no other user is to be had, or pipes have no limit")
        proxy = world.proxy([world.backend()], prefix=ANOTHER)
        if not World.can_inject:
            raise Skip("strace is not installed or may not attach")
        strace = Strace(proxy.pid, "splice,pipe2,fcntl")
        assert_long_contents_are_whole(proxy)
        calls = strace.stop()
        taker.stdin.close()
    assert "pipe2(" in calls, "nothing of it went by way of a pipe"
    assert "splice(" not in calls, calls[:2000]
    proxy.stop()


@fault("F61", "a pipe that cannot be made larger is used as it is")
def pipes_stay_as_they_are(world):
    proxy = world.proxy([world.backend()])
    base = proxy.descriptors()
    with world.inject(proxy, "fcntl:error=EPERM:when=1+2"):  # the other calls ask how large it is
        assert_long_contents_are_whole(proxy)
    proxy.wait_descriptors(base)
    proxy.stop()


# ---- memory


@fault("F62", "a shortage in the middle of a request head is in the log as what it is")
def shortage_in_a_head(world):
    path = world.path("access")
    proxy = world.proxy([world.backend()], f"log.access={path}")
    for number, error in enumerate(("ENOBUFS", "ENOMEM"), 1):
        with connect(proxy) as client:
            client.sendall(b"GET /short HTTP/1.1\r\nHo")
            assert_served(proxy, 1, "/close")  # and it has read that
            with world.inject(proxy, f"recvfrom:error={error}:when=1"):
                client.sendall(b"st: a\r\n\r\n")
                assert read_to_end(client)[0] == b""
        assert_served(proxy, 1, "/close")

        def lines():
            with open(path, encoding="ascii") as log:
                return [line for line in log if "/close" not in line]

        wait_until("a line for it", lambda n=number: len(lines()) >= n)
        assert all(" end=limit " in line for line in lines()), lines()
    proxy.stop()


class Memory:
    """shim.c under a rondo: its calls of malloc are counted and can be made to fail."""

    def __init__(self, world):
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not compiler:
            raise Skip("no C compiler")
        if world.is_sanitized():
            raise Skip("AddressSanitizer has a malloc of its own")
        self.library = world.path("shim.so")
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", self.library,
                        os.path.join(HERE, "shim.c"), "-ldl"], check=True)
        self.state = world.path("state")
        self.world = world
        self.write(0, 0, 0)

    def write(self, *numbers):
        """The numbers at the front of struct state."""
        mode = "r+b" if os.path.exists(self.state) else "wb"
        with open(self.state, mode) as file:
            file.write(struct.pack(f"{len(numbers)}q", *numbers).ljust(40 if mode == "wb" else 0, b"\0"))

    def read(self):
        with open(self.state, "rb") as file:
            return struct.unpack("4q", file.read(32))

    def fail(self, first, last):
        """Calls from the first to the last from now on."""
        calls = self.read()[0]
        self.write(calls, calls + first if first else 0, calls + last)

    def shift_wall(self, seconds):
        with open(self.state, "r+b") as file:
            file.seek(24)
            file.write(struct.pack("q", seconds))

    def limit_io(self, count):
        """Bytes that a call moves through a socket at the most; 0 for no limit."""
        with open(self.state, "r+b") as file:
            file.seek(32)
            file.write(struct.pack("q", count))

    @property
    def environment(self):
        return {"LD_PRELOAD": self.library, "SHIM_STATE": self.state}


def start_with_failing_call(memory, backend, number, last):
    """How a start ends whose call `number` fails: "ready" or its exit status."""
    memory.write(0, number, last)
    proxy = memory.world.proxy([backend], environment=memory.environment, wait=False)
    wait_until("ready, or the end", lambda: proxy.process.poll() is not None or
               proxy.count_log("ready: listening on"))
    assert memory.read()[0] >= number, f"call {number} was never made"
    if proxy.process.poll() is None:
        memory.write(0, 0, 0)
        proxy.stop()
        return "ready"
    proxy.reader.join(PATIENCE)
    status = proxy.process.returncode
    # 2 is that of the options, which are read before anything else.
    is_expected = status in (1, 78) or (status, number) == (2, 1)
    assert is_expected, f"call {number} failed: status {status}\n{proxy.tail()}"
    assert proxy.lines, f"call {number} failed: status {status} without a word"
    return status


def every_call_fails(world, last):
    memory = Memory(world)
    backend = world.backend()
    memory.write(0, 0, 0)
    proxy = world.proxy([backend], environment=memory.environment)
    calls = memory.read()[0]
    proxy.stop()
    assert calls > 20, f"only {calls} calls of malloc were seen"
    ends = [start_with_failing_call(memory, backend, number, last or number)
            for number in range(1, calls + 1)]
    world.tell(f"{calls} calls: " + str({end: ends.count(end) for end in ends}))


@fault("F31", "a start with any one malloc failing comes up, or ends with status and reason")
def one_malloc_fails_at_start(world):
    every_call_fails(world, 0)


@fault("F31", "a start with every malloc failing from some point on ends with status and reason")
def all_mallocs_fail_at_start(world):
    every_call_fails(world, 1 << 60)


class Step:
    """A fresh rondo, and the first time that it does one thing."""

    def __init__(self, world, memory, backend):
        self.log, self.config = world.path("access"), world.path("rondo.conf")
        self.backend = backend
        self.configure("")
        self.proxy = world.proxy([], config=self.config, environment=memory.environment)
        self.client = None
        self.base = self.proxy.descriptors()

    def configure(self, other):
        with open(self.config, "w", encoding="ascii") as file:
            file.write(f'backends = ( "{self.backend.url}"{other} );\nlog = {{ access = "{self.log}"; }};\n')

    def exchange(self, sent):
        """An answer, whichever, or an end."""
        with contextlib.suppress(OSError, EOFError):
            self.client = self.client or connect(self.proxy)
            self.client.sendall(sent)
            receive(self.client)

    def accept(self, begin):
        begin()
        self.exchange(b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n")  # rondo answers that itself

    def connect_backend(self, begin):
        self.client = connect(self.proxy)
        self.client.sendall(b"G")
        wait_until("a client inside", lambda: self.proxy.descriptors() > self.base)
        begin()
        self.exchange(request()[1:])

    def tunnel(self, begin):
        self.client = connect(self.proxy)
        begin()
        with contextlib.suppress(OSError):
            self.client.sendall(request("/tunnel", fields="Connection: Upgrade\r\nUpgrade: websocket\r\n"))
            if self.client.recv(4096).startswith(b"HTTP/1.1 101 "):
                self.client.sendall(b"t" * 300_000)
                self.client.shutdown(socket.SHUT_WR)
                read_to_end(self.client)

    def reload(self, begin):
        self.exchange(request())
        self.configure(', { url = "127.0.0.1:1"; backup = true; }')
        begin()
        self.proxy.signal(signal.SIGHUP)
        self.proxy.wait_log("reloaded: |the old (one|configuration) stays|given up")
        self.exchange(request())

    def reopen(self, begin):
        self.exchange(request())
        os.rename(self.log, self.log + ".old")
        begin()
        self.proxy.signal(signal.SIGUSR1)
        wait_until("the log again, or a word about it", lambda: os.path.exists(self.log) or
                   self.proxy.count_log("could not be opened again"))
        self.exchange(request())

    def end(self):
        if self.client:
            self.client.close()
        assert_served(self.proxy, 3)
        assert self.proxy.count_log(DOWN) == 0, self.proxy.tail()
        self.proxy.stop()


def one_malloc_of_a_step_fails(name, least):
    """One after the other, until the step makes fewer calls than that."""

    def test(world):
        memory, backend = Memory(world), world.backend()
        for number in itertools.count(1):
            memory.fail(0, 0)
            step, calls = Step(world, memory, backend), []

            def begin(number=number, calls=calls):
                calls.append(memory.read()[0])
                memory.fail(number, number)

            getattr(step, name)(begin)
            made = memory.read()[0] - calls[0]
            memory.fail(0, 0)
            step.end()
            if made < number:
                break
        assert number > least, f"only {number - 1} calls failed"
        world.tell(f"{number - 1} calls failed")

    return test


for each, words, some in (("accept", "a first client is let in", 1),
                          ("connect_backend", "a first request goes to a backend", 1),
                          ("tunnel", "a first tunnel is made", 1),
                          ("reload", "another configuration is read", 20),
                          ("reopen", "the log is opened again", 0)):
    fault("F31", f"any one malloc that fails while {words} costs at most that")(
        one_malloc_of_a_step_fails(each, some))


@fault("F32", "when memory is gone rondo stays, refuses what needs more, and recovers")
def memory_is_gone_for_a_while(world):
    memory = Memory(world)
    backend = world.backend()
    proxy = world.proxy([backend], environment=memory.environment)
    base = proxy.descriptors()
    memory.fail(1, 1 << 60)
    ends, crowd = [], []
    for _ in range(200):
        try:
            client = world.keep(connect(proxy))
            crowd.append(client)
            client.sendall(request("/close", "POST", content=b"x" * 1000))
            ends.append("sent")
        except OSError as error:
            ends.append(type(error).__name__)
    proxy.signal(signal.SIGHUP)
    proxy.wait_log("reload")
    share = cpu_share(proxy)
    assert share < 0.1, f"{share:.0%} of a processor"
    memory.fail(0, 0)
    for client in crowd:
        client.close()
    assert_served(proxy)
    proxy.wait_descriptors(base)
    assert proxy.count_log(DOWN) == 0, proxy.tail()
    proxy.stop()
    world.tell(str({end: ends.count(end) for end in ends}))


@fault("F33", "at its limit of memory rondo answers or refuses, and lives")
def address_space_is_limited(world):
    need("prlimit")
    proxy = world.proxy([world.backend()])
    if world.is_sanitized():
        raise Skip("AddressSanitizer needs the whole address space")
    assert_served(proxy, 5)
    base = proxy.descriptors()
    limit = (int(proxy.status("VmSize")) + 4096) * 1024
    subprocess.run(["prlimit", f"--as={limit}", "--pid", str(proxy.pid)], check=True)
    crowd = [world.keep(connect(proxy)) for _ in range(500)]
    for client in crowd:
        client.sendall(request("/wait", "POST", content=b"x" * 30000))
    cpu_share(proxy, 0.3)
    for client in crowd:
        client.close()
    proxy.wait_descriptors(base)
    assert_served(proxy)
    assert proxy.count_log(DOWN) == 0, proxy.tail()
    proxy.stop()
