"""Backends that stop, die or hang, clients that vanish or dawdle, and a rondo that stands still meanwhile."""

import concurrent.futures
import contextlib
import resource
import select
import signal
import socket
import time

from backends import FullBackend
from world import (DOWN, Skip, allow_descriptors, ask, assert_served, connect, fault, free_port, read_to_end, receive,
                   request, reset, wait_until)

UNHURRIED = ("max_delay_response=60s", "timeouts.connect=60s")  # where the backend has too much to do


# ---- backends


@fault("F05", "a stopped backend is left for the next, and its late answers reach nobody")
def a_backend_is_stopped(world):
    stopped, other = world.backend("stopped"), world.backend("other")
    proxy = world.proxy([stopped, other], 'max_delay_response=500ms', 'retry_window=300ms',
                        'retry_window_max=300ms', "retry.budget=100")
    assert_served(proxy, 4)
    stopped.signal(signal.SIGSTOP)
    for number in range(12):
        status, _, content = ask(proxy, f"/while/{number}")
        assert (status, content) == (200, f"other /while/{number}".encode()), (status, content)
    wait_until("a line for the mark", lambda: proxy.count_log(DOWN))
    stopped.signal(signal.SIGCONT)
    with connect(proxy) as client:
        for number in range(100):
            client.sendall(request(f"/after/0/{number}"))
            status, _, content = receive(client)
            assert status == 200 and content.endswith(f" /after/0/{number}".encode()), content
    wait_until("the backend back in turn", lambda: ask(proxy)[2] == b"stopped /")
    proxy.stop()


def cut_off(target, is_wanted):
    def test(world):
        dies, lives = world.backend("dies"), world.backend("lives")
        proxy = world.proxy([dies, lives])
        clients = []
        while len(clients) < 20:
            client = world.keep(connect(proxy))
            client.sendall(request(target))
            data = b""
            while b"\r\n\r\n" not in data:
                data += client.recv(4096)
            if dies.url.encode() in data:
                clients.append((client, data))
        dies.signal(signal.SIGKILL)
        for client, data in clients:
            data += read_to_end(client)[0]
            assert is_wanted(data), data[-100:]
        assert_served(proxy)
        proxy.stop()

    return test


fault("F08", "a backend killed in the middle of counted content: the client sees that some is missing")(
    cut_off("/part", lambda data: len(data) < 5000))
fault("F09", "a backend killed in the middle of chunks: no last chunk is made up")(
    cut_off("/chunks", lambda data: b"0\r\n\r\n" not in data))


@fault("F20", "a backend that is rondo itself ends in an answer, not in all connections there are")
def a_loop(world):
    port = free_port()
    proxy = world.proxy([f"http://127.0.0.1:{port}"], f"log.access={world.path('access')}",
                        listen=f"127.0.0.1:{port}")
    status, _, _ = ask(proxy, "/loop")
    assert status >= 400, status
    proxy.stop()
    with open(world.path("access"), encoding="ascii") as log:
        turns = len(log.readlines())
    assert turns <= 101, turns  # the fields of a request that grows by each turn have a limit
    world.tell(f"status {status} after {turns} turns")


@fault("F52", "a backend whose Unix socket is missing fails alone")
def a_missing_unix_socket(world):
    proxy = world.proxy(["unix:" + world.path("nobody"), world.backend()], "retry_window=200ms",
                        "retry_window_max=200ms")
    assert_served(proxy)
    proxy.wait_log(DOWN)
    world.backend("late", world.path("nobody"))
    wait_until("the late one in turn", lambda: ask(proxy)[2] == b"late /")
    assert_served(proxy)
    proxy.stop()


# ---- clients


def vanish_before(_client, _number):
    pass


def vanish_in_head(client, number):
    client.sendall(request("/")[: 1 + number % 25])


def vanish_in_content(client, number):
    client.sendall(request("/echo", "POST", content=b"c" * 5000)[: 60 + number * 20])


def vanish_waiting(client, _number):
    client.sendall(request("/wait"))


def vanish_in_answer(client, number):
    client.sendall(request("/part"))
    client.recv(1 + number)


def vanish_in_long_answer(client, _number):
    client.sendall(request("/big/3000000"))
    client.recv(10)


def vanish_in_upload(client, _number):
    client.sendall(b"POST /late/10 HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + b"u" * 200_000)


def vanish_in_pipeline(client, _number):
    client.sendall(request("/") * 50)


STAGES = (vanish_before, vanish_in_head, vanish_in_content, vanish_waiting, vanish_in_answer,
          vanish_in_long_answer, vanish_in_upload, vanish_in_pipeline)
VANISHING = 125  # clients for each stage, half of them with a reset


def vanish(proxy, stage):
    for batch in range(5):
        clients = []
        for number in range(VANISHING // 5):
            client = connect(proxy)
            clients.append(client)
            stage(client, batch * 25 + number)
        select.select([], [], [], 0.01)
        for number, client in enumerate(clients):
            reset(client) if number % 2 else client.close()


def clients_vanish(stage):
    def test(world):
        backend = world.backend()
        proxy = world.proxy([backend])
        assert_served(proxy)
        base = proxy.descriptors()
        memory = []
        for _ in range(4):
            vanish(proxy, stage)
            proxy.wait_descriptors(base)
            memory.append(proxy.memory_kib())
        assert memory[-1] <= memory[1] + 512 or world.is_sanitized(), f"KiB: {memory}"
        assert proxy.count_log(DOWN) == 0, proxy.tail()
        assert_served(proxy)
        proxy.stop()
        world.tell(f"{4 * VANISHING} clients, {memory[0]} to {memory[-1]} KiB")

    return test


for each in STAGES:
    words = each.__name__.replace("vanish_", "").replace("_", " ")
    fault("F21", f"clients that vanish {words} leave nothing behind")(clients_vanish(each))


@fault("F21", "clients that vanish while their connection to the backend is made leave nothing behind")
def clients_vanish_while_connecting(world):
    with contextlib.closing(FullBackend()) as full:
        proxy = world.proxy([full], 'timeouts.connect=20s')
        base = proxy.descriptors()
        for _ in range(100):
            client = connect(proxy)
            client.sendall(request())
            reset(client)
        proxy.wait_descriptors(base)
        assert proxy.count_log(DOWN) == 0, proxy.tail()
        proxy.stop()


@fault("F25", "a storm of connections that are closed at once does not keep others out")
def a_storm_of_connections(world):
    proxy = world.proxy([world.backend()])
    base = proxy.descriptors()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        storm = pool.submit(lambda: [connect(proxy).close() for _ in range(4000)])
        asked = 0
        while not storm.done():
            assert_served(proxy, 1)
            asked += 1
        storm.result()
    proxy.wait_descriptors(base)
    proxy.stop()
    world.tell(f"{asked} requests meanwhile")


@fault("F53", "a reset behind a thousand pipelined requests ends the work")
def pipeline_and_reset(world):
    backend = world.backend()
    proxy = world.proxy([backend])
    base = proxy.descriptors()
    for _ in range(20):
        client = connect(proxy)
        client.sendall(request("/after/20") * 1000)
        reset(client)
    # Who is reset before it answers never says that it has answered.
    proxy.wait_descriptors(base)
    assert_served(proxy)
    proxy.stop()
    assert backend.count("got /after/20") <= 200, backend.count("got /after/20")
    world.tell(f"{backend.count('got /after/20')} of 20000 reached the backend")


# ---- crowds


def times(proxy, count=200):
    """Seconds for a request on a kept connection: median and 99th of a hundred."""
    taken = []
    with connect(proxy) as client:
        for _ in range(count):
            begin = time.perf_counter()
            client.sendall(request())
            assert receive(client)[0] == 200
            taken.append(time.perf_counter() - begin)
    taken.sort()
    return taken[count // 2], taken[count * 99 // 100]


def spread(proxy, count):
    """Connections from several addresses, so that ports do not run out."""
    return [connect(proxy, (f"127.0.0.{2 + number // 20000}", 0)) for number in range(count)]


def assert_not_slower(beside, alone):
    """Medians; a busy machine makes any request slow, but not most of them."""
    assert beside[0] < 10 * alone[0] + 0.005, \
        f"{beside[0] * 1e3:.2f} ms beside the crowd, {alone[0] * 1e3:.2f} ms alone"


@fault("F24", "10,000 idle connections, or as many as may be, cost little, and new requests are served")
def idle_crowd(world):
    count = allow_descriptors(20400) // 2 - 200  # rondo keeps one for each backend connection, too
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if count < 1000:
        raise Skip(f"only {hard} descriptors are allowed")
    proxy = world.proxy([world.backend()], f"limits.connections={count + 100}")
    alone = times(proxy)
    before = proxy.memory_kib()
    crowd = spread(proxy, count)
    for client in crowd[::10]:  # have been used before
        client.sendall(request("/close"))
        assert receive(client)[0] == 200
    proxy_has = wait_until("all inside", lambda: proxy.descriptors() >= count and proxy.descriptors())
    beside = times(proxy)
    each = (proxy.memory_kib() - before) * 1024 / count
    share_before = proxy.cpu_seconds()
    select.select([], [], [], 2)  # processor time is told in steps of 10 ms
    idle = (proxy.cpu_seconds() - share_before) / 2
    assert_not_slower(beside, alone)
    assert each < 2048, f"{each:.0f} bytes for each"
    assert idle < 0.05, f"{idle:.0%} of a processor"
    for client in crowd:
        client.close()
    wait_until("all gone", lambda: proxy.descriptors() < 50)
    proxy.stop()
    world.tell(f"{count} connections ({proxy_has} descriptors), {each:.0f} bytes each, a request takes "
               f"{alone[0] * 1e3:.2f}/{alone[1] * 1e3:.2f} ms alone and "
               f"{beside[0] * 1e3:.2f}/{beside[1] * 1e3:.2f} ms beside them (median/p99)")


def slow_head(client):
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")


def slow_content(client):
    client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nbegin")


def slow_upload(client):
    """More than is awaited before a backend is asked."""
    client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\nbegin")


def slow_reading(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(request("/big/20000000"))  # more than all queues on the way hold


def slow_step(client, make):
    """One byte in or out; False when rondo has ended it."""
    try:
        if make is slow_reading:
            return bool(client.recv(1))
        client.sendall(b"x")
        return True
    except OSError:
        return False


@fault("F23", "2,000 slow clients do not slow down others, and end in time")
def slow_crowd(world):
    count = min(2000, allow_descriptors(2000))
    proxy = world.proxy([world.backend()], 'timeouts.request_head=8s', 'timeouts.request_body=6s',
                        'timeouts.send=6s', 'timeouts.keep_alive=8s', *UNHURRIED, f"limits.connections={count + 100}")
    alone = times(proxy)
    base = proxy.descriptors()
    before = proxy.memory_kib()
    makers = (slow_head, slow_content, slow_upload, slow_reading)
    crowd = [(client, makers[number % 4]) for number, client in enumerate(spread(proxy, count))]
    for client, make in crowd:
        make(client)
    stepping = [all(slow_step(client, make) for client, make in crowd[:30])]
    beside = times(proxy)
    grown = (proxy.memory_kib() - before) / count
    assert all(stepping), "ended too soon"
    assert_not_slower(beside, alone)
    heads = [client for client, make in crowd if make is slow_head]
    for client in heads[:50]:
        assert client.recv(100).startswith(b"HTTP/1.1 408"), "a head that never ends is no 408"
    contents = [client for client, make in crowd if make in (slow_content, slow_upload)]
    for client in contents[:100]:
        assert client.recv(100).startswith(b"HTTP/1.1 408"), "content that stops is no 408"
    wait_until("the slow ones ended", lambda: proxy.descriptors() <= base + 20)
    for client in [client for client, make in crowd if make is slow_reading][:50]:
        data, in_order = read_to_end(client)
        assert not in_order and len(data) < 20_000_000, f"a reader that stopped got {len(data)} bytes"
    assert proxy.count_log(DOWN) == 0, proxy.tail()
    for client, _ in crowd:
        client.close()
    assert_served(proxy)
    proxy.stop()
    world.tell(f"{count} clients, {grown:.0f} KiB each, a request takes "
               f"{alone[0] * 1e3:.2f}/{alone[1] * 1e3:.2f} ms alone and "
               f"{beside[0] * 1e3:.2f}/{beside[1] * 1e3:.2f} ms beside them (median/p99)")


# ---- a rondo that stands still


@fault("F56", "a rondo that was stopped reads what has come before it judges who was late")
def rondo_is_stopped(world):
    backends = [world.backend("a"), world.backend("b")]
    proxy = world.proxy(backends, 'max_delay_response=5s', 'retry_window=1h')
    clients = [world.keep(connect(proxy)) for _ in range(60)]
    for client in clients:
        client.sendall(request("/after/150"))
    wait_until("all asked", lambda: sum(b.count("got /after/150") for b in backends) == 60)
    proxy.signal(signal.SIGSTOP)
    wait_until("all answered",
               lambda: sum(b.count("answered /after/150") for b in backends) == 60)
    select.select([], [], [], 5.3)  # now every limit is over
    proxy.signal(signal.SIGCONT)
    for client in clients:
        status, _, content = receive(client)
        assert status == 200 and content.endswith(b" /after/150"), (status, content)
    assert proxy.count_log(DOWN) == 0, proxy.tail()
    assert sum(b.count("got /after/150") for b in backends) == 60, "asked again"
    proxy.stop()


@fault("F56", "clients that wrote while rondo was stopped are not late")
def clients_of_a_stopped_rondo(world):
    proxy = world.proxy([world.backend()], 'timeouts.request_head=5s', 'timeouts.keep_alive=5s',
                        'timeouts.request_body=5s')
    heads = [world.keep(connect(proxy)) for _ in range(20)]
    idle = [world.keep(connect(proxy)) for _ in range(20)]
    bodies = [world.keep(connect(proxy)) for _ in range(20)]
    whole = request("/echo", "POST", content=b"0123456789")
    for client in heads:
        client.sendall(whole[:10])
    for client in bodies:
        client.sendall(whole[:-5])
    wait_until("all inside", lambda: proxy.descriptors() > 60)
    proxy.signal(signal.SIGSTOP)
    for client, sent in [*((one, whole[10:]) for one in heads), *((one, whole) for one in idle),
                         *((one, whole[-5:]) for one in bodies)]:
        client.sendall(sent)
    select.select([], [], [], 5.3)  # now every limit is over
    proxy.signal(signal.SIGCONT)
    for client in heads + idle + bodies:
        status, _, content = receive(client)
        assert (status, content) == (200, b"0123456789"), (status, content)
    proxy.stop()
