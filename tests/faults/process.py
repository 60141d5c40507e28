"""What surrounds the process: signals, its start, its environment, clocks."""

import os
import resource
import select
import signal
import socket
import subprocess
import time

from namespaces import can_unshare
from ports import is_open
from shortages import Memory
from world import DOWN, Skip, ask, assert_served, connect, fault, free_port, receive, request, wait_until


@fault("F43", "after kill -9 a new one listens on the same port at once")
def killed_and_started_again(world):
    backend = world.backend()
    port = free_port()
    for _ in range(5):
        proxy = world.proxy([backend], listen=f"127.0.0.1:{port}")
        with connect(proxy) as kept:
            kept.sendall(request())
            assert receive(kept)[0] == 200
            proxy.process.kill()
            proxy.process.wait()
    proxy = world.proxy([backend], listen=f"127.0.0.1:{port}")
    assert_served(proxy)
    proxy.stop()


@fault("F44", "a wall clock that jumps changes dates and nothing else")
def the_wall_clock_jumps(world):
    memory = Memory(world)
    backend = world.backend()
    proxy = world.proxy([backend], 'max_delay_response=5s', 'retry_window=1h',
                        f'log.access={world.path("access")}', environment=memory.environment)
    with connect(proxy) as client:
        for shift in (86400, -86400, 30 * 86400, -30 * 86400, 20 * 365 * 86400, -40 * 365 * 86400):
            with connect(proxy) as waiting:
                waiting.sendall(request("/after/100"))
                backend.wait_said("got /after/100")
                memory.shift_wall(shift)
                assert receive(waiting)[0] == 200
            select.select([], [], [], 0.02)
            client.sendall(request("/"))
            status, fields, _ = receive(client)
            year = time.gmtime(time.time() + shift).tm_year
            assert status == 200 and f" {year} " in fields["date"], (shift, fields["date"])
    assert proxy.count_log(DOWN) == 0, proxy.tail()
    proxy.stop()


@fault("F45", "a monotonic clock that is old does not matter")
def an_old_monotonic_clock(world):
    options = ("-rT", "--monotonic", "2000000000", "--fork", "--kill-child=TERM")
    if not can_unshare(*options):
        raise Skip("no time namespace is to be had")
    port = free_port()
    backend = world.backend()
    proxy = world.proxy([backend], 'max_delay_response=200ms', prefix=("unshare", *options),
                        listen=f"127.0.0.1:{port}")
    assert_served(proxy)
    status, _, _ = ask(proxy, "/wait")
    assert status == 504, status
    proxy.kill()


@fault("F46", "bursts of HUP and USR1 under load disturb nobody")
def bursts_of_signals(world):
    backend = world.backend()
    proxy = world.proxy([backend], f'log.access={world.path("access")}')
    base = proxy.descriptors()
    with connect(proxy) as client:
        for number in range(400):
            proxy.signal(signal.SIGHUP if number % 2 else signal.SIGUSR1)
            client.sendall(request(f"/{number}"))
            status, _, content = receive(client)
            assert (status, content) == (200, f"b /{number}".encode()), (status, content)
    proxy.wait_descriptors(base + 1)
    proxy.stop()
    with open(world.path("access"), encoding="ascii") as log:
        assert len(log.readlines()) == 400


@fault("F46", "any signal during the start or the drain ends in one clean end")
def signals_at_any_moment(world):
    backend = world.backend()
    for number in range(20):
        proxy = world.proxy([backend], wait=False)
        if number % 2:
            proxy.wait_log("ready: listening on")
            waiting = world.keep(connect(proxy))
            waiting.sendall(request("/wait"))
            backend.wait_said("got /wait", (number + 1) // 2)
        select.select([], [], [], number * 0.001)
        for burst in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            if proxy.process.poll() is None:
                proxy.signal(burst)
        status = proxy.process.wait(40)
        # Before it can handle any, a signal ends it as it would end anybody.
        early = (0, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGUSR1, -signal.SIGINT)
        assert status == 0 or (not number % 2 and status in early), f"{status}\n{proxy.tail()}"


def run_to_end(world, *arguments, **options):
    ended = subprocess.run([world.binary, *arguments], capture_output=True, text=True, timeout=40,
                           env=dict(os.environ, NO_COLOR="1"), check=False, **options)
    return ended.returncode, ended.stderr


@fault("F48", "a port that is taken ends the start with status 1 and its name")
def the_port_is_taken(world):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, said = run_to_end(world, "--listen", address, "--backend", "127.0.0.1:1")
    assert status == 1 and address in said and "ready: listening" not in said, (status, said)


@fault("F48", "a port that is not allowed ends the start with status 1 and its name")
def the_port_is_not_allowed(world):
    if os.geteuid() == 0:
        prefix = {"preexec_fn": lambda: os.setuid(65534)}
    else:
        prefix = {}
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as start:
        if int(start.read()) <= 81:
            raise Skip("every port is allowed here")
    copy = world.path("rondo")
    with open(world.binary, "rb") as source, open(copy, "wb") as target:
        target.write(source.read())
    os.chmod(copy, 0o755)
    ended = subprocess.run([copy, "--listen", "127.0.0.1:81", "--backend", "127.0.0.1:1"],
                           capture_output=True, text=True, timeout=40, check=False, **prefix)
    assert ended.returncode == 1 and "127.0.0.1:81" in ended.stderr, (ended.returncode, ended.stderr)


@fault("F48", "with next to no descriptors the start ends with status 1 and a reason")
def hardly_any_descriptors(world):
    for count in range(4, 16):
        proxy = world.proxy(["127.0.0.1:1"], wait=False, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (count, count)))
        wait_until("ready, or the end", lambda: proxy.process.poll() is not None or
                   proxy.count_log("ready: listening on"))
        if proxy.process.poll() is None:
            proxy.stop()
            continue
        proxy.reader.join(40)
        status = proxy.process.returncode
        # Too few for the loader of programs to open a library: not rondo's to say.
        assert status in (1, 127) and proxy.lines, f"{count} descriptors: {status}\n{proxy.tail()}"


def close_all(*descriptors):
    def close():
        for descriptor in descriptors:
            os.close(descriptor)

    return close


@fault("F49", "started without descriptors 0 to 2 it uses them for nothing else")
def no_standard_descriptors(world):
    backend = world.backend()
    for missing in ((0,), (1,), (0, 1), (0, 2), (0, 1, 2)):
        port = free_port()
        proxy = world.proxy([backend], "log.level=debug", listen=f"127.0.0.1:{port}", wait=False,
                            stderr=subprocess.DEVNULL, preexec_fn=close_all(*missing))
        wait_until("a listening rondo", lambda: is_open(port))
        assert_served(proxy, 5)
        for descriptor in range(3):
            place = os.readlink(f"/proc/{proxy.pid}/fd/{descriptor}")
            assert place == "/dev/null", (missing, descriptor, place)
        proxy.stop()


def hostile():
    os.umask(0o777)
    os.chdir("/")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@fault("F50", "a hostile environment changes nothing")
def a_hostile_environment(world):
    where = world.path("gone")
    os.mkdir(where)

    def prepare():
        hostile()
        os.chdir(where)
        os.rmdir(where)

    environment = {"LC_ALL": "tr_TR.UTF-8", "LANG": "x" * 5000, "TZ": ":/dev/full", "LISTEN_FDS": "-7",
                   "LISTEN_PID": "x", "NOTIFY_SOCKET": "/" + "n" * 200, "WATCHDOG_USEC": "1e9",
                   "JOURNAL_STREAM": "8:x", "IFS": "r", "RES_OPTIONS": "ndots:x", "LOCALDOMAIN": "a",
                   "HOSTALIASES": "/dev/zero", "MALLOC_PERTURB_": "90"}
    proxy = world.proxy([world.backend()], f'log.access={world.path("access")}',
                        environment=environment, preexec_fn=prepare)
    assert_served(proxy)
    proxy.signal(signal.SIGHUP)
    proxy.wait_log("reload")
    assert_served(proxy)
    proxy.stop()
