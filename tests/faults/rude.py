"""Backends that end, answer or come back at the wrong moment, by the byte; reloads and stops in it all."""

import contextlib
import hashlib
import os
import select
import signal
import socket
import threading
import time

from backends import Backend
from world import (DOWN, PATIENCE, Strace, ask, connect, cpu_share, fault, read_head, read_to_end, receive, request,
                   reset, wait_until)

CHECK = b"GET /check "


class Script(Backend):
    """Plays script(connection) for each connection."""

    def __init__(self, world, script):
        super().__init__(lambda connection, _number: script(connection), backlog=256)
        world.stack.callback(self.close)


def answer(connection, content=b"ok"):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content))


# ---- all or some of them are gone


@fault("F02", "with every backend gone each request has its answer, and all are found again by themselves")
def everybody_is_gone(world):
    backends = [world.backend() for _ in range(3)]
    proxy = world.proxy(backends, "retry_window=200ms", "retry_window_max=200ms", "retry.budget=100", "queue.wait=0s")
    base = proxy.descriptors()
    assert ask(proxy)[0] == 200
    for backend in backends:
        backend.kill()
    tracing = Strace(proxy.pid, "connect") if world.can_inject else None
    begin = time.monotonic()
    for _ in range(50):
        status, _, _ = ask(proxy)
        assert status in (502, 503), status
    share = cpu_share(proxy)
    windows = (time.monotonic() - begin) / 0.2
    assert share < 0.1, f"{share:.0%} of a processor while nobody asks"
    if tracing:  # one for a request once all are down, and one for each window of each
        connects, most = tracing.stop().count("connect("), 3 + 50 + 3 * (windows + 2)
        assert 3 <= connects <= most, f"{connects} connects, {most:.0f} at the most"
        world.tell(f"{connects} connects")
    again = [world.backend("b", backend.place) for backend in backends]
    wait_until("all of them", lambda: ask(proxy)[0] == 200 and all(b.count("got /") for b in again))
    proxy.wait_descriptors(base)
    proxy.stop()


@fault("F18", "a backend that comes and goes all the time hurts no request")
def one_comes_and_goes(world):
    flaps = world.backend("flaps")
    proxy = world.proxy([flaps, world.backend("stays")], "retry_window=50ms", "retry_window_max=100ms",
                        "retry.budget=100")
    statuses, is_over = [], threading.Event()

    def load():
        with connect(proxy) as client:
            while not is_over.is_set():
                client.sendall(request())
                statuses.append(receive(client)[0])

    loaders = [threading.Thread(target=load) for _ in range(2)]
    for loader in loaders:
        loader.start()
    place = flaps.place
    for _ in range(6):
        count = flaps.count("got /")
        wait_until("the one that comes and goes in turn", lambda n=count: flaps.count("got /") > n + 5)
        flaps.kill()
        wait_until("requests without it", lambda n=len(statuses): len(statuses) > n + 20)
        flaps = world.backend("flaps", place)
    is_over.set()
    for loader in loaders:
        loader.join()
    assert set(statuses) == {200}, {status: statuses.count(status) for status in set(statuses)}
    proxy.stop()
    world.tell(f"{len(statuses)} requests, {proxy.count_log(DOWN)} times down")


# ---- ends at the wrong moment


@fault("F10", "a backend that half closes before it answers is left for the next, and its answer is not awaited")
def half_closed_before_the_answer(world):
    def script(connection):
        connection.shutdown(socket.SHUT_WR)
        read_to_end(connection)

    rude = Script(world, script)
    proxy = world.proxy([rude, world.backend()])
    for _ in range(10):
        status, _, content = ask(proxy)
        assert (status, content) == (200, b"b /"), (status, content)
    proxy.wait_log(DOWN)
    proxy.stop()
    alone = world.proxy([rude])
    assert ask(alone)[0] == 502
    alone.stop()


EARLY = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def ends_in_an_upload(end):
    """An early answer and the end of its stream are there before rondo sends more of the content: that fails."""

    def test(world):
        asked, may_answer, has_ended = threading.Event(), threading.Event(), threading.Event()

        def script(connection):
            read_head(connection)
            asked.set()
            may_answer.wait(PATIENCE)
            connection.sendall(EARLY)
            end(connection)
            has_ended.set()

        proxy = world.proxy([Script(world, script)], "retry_window=1h")
        with connect(proxy) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
            assert asked.wait(PATIENCE)
            with proxy.frozen():
                client.sendall(b"x" * 20000)
                may_answer.set()
                assert has_ended.wait(PATIENCE)
            status, _, _ = receive(client)
        assert status == 413, status
        assert proxy.count_log(DOWN) == 0, proxy.tail()
        proxy.stop()

    return test


def ends_behind(end, framing):
    """The answer and the end of its stream are both there before rondo looks."""
    content = os.urandom(5000)

    def test(world):
        asked, may_answer, has_ended = threading.Event(), threading.Event(), threading.Event()

        def script(connection):
            read_head(connection)
            asked.set()
            may_answer.wait(PATIENCE)
            connection.sendall(b"HTTP/1.1 200 OK\r\n%s\r\n%s" % (framing % len(content), content))
            end(connection)
            has_ended.set()

        proxy = world.proxy([Script(world, script)], "retry_window=1h")
        with connect(proxy) as client:
            client.sendall(request())
            assert asked.wait(PATIENCE)
            with proxy.frozen():
                may_answer.set()
                assert has_ended.wait(PATIENCE)
            status, _, got = receive(client)
        assert status == 200 and got == content, (status, len(got))
        assert proxy.count_log(DOWN) == 0, proxy.tail()
        proxy.stop()

    return test


def pooled_connection_ends(method):
    """The next request and the end of the connection that it would go on are both there before rondo looks."""

    def test(world):
        heads, may_end, has_ended = [], threading.Event(), threading.Event()

        def script(connection):
            heads.append(read_head(connection))
            answer(connection)
            if len(heads) == 1:
                may_end.wait(PATIENCE)
                connection.close()
                has_ended.set()

        proxy = world.proxy([Script(world, script)], "retry_window=1h")
        with connect(proxy) as client:
            client.sendall(request("/first"))
            assert receive(client)[0] == 200
            with proxy.frozen():
                client.sendall(request("/second", method))
                may_end.set()
                assert has_ended.wait(PATIENCE)
            status, _, content = receive(client)
        assert (status, content) == (200, b"ok"), (status, content)
        assert len(heads) == 2 and heads[1].startswith(method.encode() + b" /second "), heads
        assert proxy.count_log(DOWN) == 0, proxy.tail()
        proxy.stop()

    return test


for each in ("GET", "POST"):
    fault("F16", f"a {each} that comes while its pooled connection ends goes on a fresh one, once")(
        pooled_connection_ends(each))

COUNTED, TO_THE_END = b"Content-Length: %d\r\n", b"X-Length: %d\r\n"
fault("F60", "an end that comes with the last bytes does not overtake them")(
    ends_behind(lambda connection: connection.close(), COUNTED))
fault("F60", "content that the end of the stream ends is whole when both come at once")(
    ends_behind(lambda connection: connection.close(), TO_THE_END))
fault("F60", "a reset behind a whole answer does not take it away")(ends_behind(reset, COUNTED))


def end_and_reset(connection):
    """Who writes on gets EPIPE, not ECONNRESET."""
    connection.shutdown(socket.SHUT_WR)
    reset(connection)


for each, words in ((lambda connection: connection.close(), "an end"), (reset, "a reset"),
                    (end_and_reset, "an end with a reset")):
    fault("F60", f"{words} behind an answer that comes before the whole request does not take it away")(
        ends_in_an_upload(each))


@fault("F08", "a failing answer that is passed on for want of a better one, and cut off, is its backend's fault")
def a_kept_answer_is_cut_off(world):
    may_end = threading.Event()

    def script(connection):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 1000\r\n\r\nsome of it")
        may_end.wait(PATIENCE)

    cuts, refuses = Script(world, script), world.keep(socket.socket())
    refuses.bind(("127.0.0.1", 0))
    name, other = cuts.name, f"127.0.0.1:{refuses.getsockname()[1]}"
    proxy = world.proxy([cuts, other])
    with connect(proxy) as client:
        client.sendall(request())
        head = read_head(client)
        may_end.set()
        rest, _ = read_to_end(client)
    assert head.startswith(b"HTTP/1.1 503 Busy") and cuts.url.encode() in head, head
    assert rest == b"some of it", rest
    proxy.wait_log(rf"GET / from .* failed .*: {name}\(cut_off,\d+ms\) {other}\(refused,")
    proxy.stop()


# ---- checks


def check_silence(connection):
    connection.recv(1)


def check_endless_head(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Field: more and more of it\r\n" * 100)


def check_drip(connection):
    while True:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 100:
            connection.sendall(bytes([byte]))
            select.select([], [], [], 0.05)


def check_nonsense(connection):
    connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    connection.recv(1)


def check_endless_content(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def checked(check, is_down):
    def test(world):
        checks = []

        def script(connection):
            while True:
                if read_head(connection).startswith(CHECK):
                    checks.append(1)
                    check(connection)
                    return
                answer(connection, b"served")

        sick = Script(world, script)
        proxy = world.proxy([sick, world.backend()], "health.path=/check", "health.interval=50ms",
                            "health.timeout=" + ("500ms" if is_down else "20s"), "health.fall=2")
        if is_down:
            proxy.wait_log(DOWN)
            assert {ask(proxy)[2] for _ in range(4)} == {b"b /"}
        memory = proxy.memory_kib()
        wait_until("more checks", lambda n=len(checks) + 4: len(checks) > n)
        after = proxy.memory_kib()
        assert after <= memory + 1024 or world.is_sanitized(), f"{memory} to {after} KiB"
        if not is_down:
            assert proxy.count_log(DOWN) == 0, proxy.tail()
            assert {ask(proxy)[2] for _ in range(4)} == {b"served", b"b /"}
        proxy.stop()

    return test


fault("F19", "a check that is never answered takes a backend down")(checked(check_silence, True))
fault("F19", "a check whose head does not end takes a backend down")(checked(check_endless_head, True))
fault("F19", "a check that is answered a byte at a time takes a backend down")(checked(check_drip, True))
fault("F19", "a check that is answered in another protocol takes a backend down")(checked(check_nonsense, True))
fault("F19", "a check with a good status and content without end costs nothing")(
    checked(check_endless_content, False))


# ---- tunnels

HELLO = request("/tunnel", fields="Connection: Upgrade\r\nUpgrade: websocket\r\n")
WELCOME = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
PIECE = hashlib.sha512(b"tunnel").digest() * 1024
PIECES = 2000  # 128 MiB


def digest_to_end(connection):
    hashed = hashlib.sha256()
    while piece := connection.recv(1 << 20):
        hashed.update(piece)
    return hashed.digest()


def pour(connection):
    with contextlib.suppress(OSError):  # who hashes sees that some is missing
        for _ in range(PIECES):
            connection.sendall(PIECE)
        connection.shutdown(socket.SHUT_WR)


@fault("F54", "all bytes of a tunnel come through in both directions at once, and its ends are passed on")
def a_tunnel_of_many_bytes(world):
    heard = []

    def script(connection):
        read_head(connection)
        connection.sendall(WELCOME)
        pouring = threading.Thread(target=pour, args=(connection,), daemon=True)
        pouring.start()
        heard.append(digest_to_end(connection))
        pouring.join()

    proxy = world.proxy([Script(world, script)])
    base, memory = proxy.descriptors(), proxy.memory_kib()
    wanted = hashlib.sha256(PIECE * PIECES).digest()
    with connect(proxy) as client:
        client.sendall(HELLO)
        assert read_head(client).startswith(b"HTTP/1.1 101 ")
        pouring = threading.Thread(target=pour, args=(client,), daemon=True)
        pouring.start()
        assert digest_to_end(client) == wanted, "other bytes towards the client"
        pouring.join()
        wait_until("the other direction", lambda: heard)
    assert heard == [wanted], "other bytes towards the backend"
    proxy.wait_descriptors(base)
    after = proxy.memory_kib()
    assert after <= memory + 8192 or world.is_sanitized(), f"{memory} to {after} KiB"
    proxy.stop()


@fault("F54", "tunnels that are reset in the middle leave nothing behind")
def tunnels_are_reset(world):
    def script(connection):
        read_head(connection)
        connection.sendall(WELCOME)
        pour(connection)

    proxy = world.proxy([Script(world, script)])
    base = proxy.descriptors()
    for _ in range(30):
        client = connect(proxy)
        client.sendall(HELLO)
        assert read_head(client).startswith(b"HTTP/1.1 101 ")
        client.recv(100_000)
        reset(client)
    proxy.wait_descriptors(base)
    assert proxy.count_log(DOWN) == 0, proxy.tail()
    proxy.stop()


# ---- reloads and stops


@fault("F42", "1,000 reloads under load lose no request and cost no memory")
def a_thousand_reloads(world):
    backend, path = world.backend(), world.path("rondo.conf")
    texts = [f'backends = ( "{backend.url}" );\nmax_delay_response = "{5 + odd}s";\n' for odd in (0, 1)]

    def write(number):
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(texts[number % 2])
        os.replace(path + ".new", path)

    write(0)
    proxy = world.proxy([], config=path)
    base, memory = None, 0
    with connect(proxy) as client:
        for number in range(1, 1001):
            write(number)
            proxy.signal(signal.SIGHUP)
            client.sendall(request(f"/{number}"))
            status, _, content = receive(client)
            assert (status, content) == (200, f"b /{number}".encode()), (status, content)
            if number == 200:
                base, memory = proxy.descriptors(), proxy.memory_kib()
        proxy.wait_descriptors(base)
    changes = proxy.count_log("reloaded: 1 change")
    assert changes >= 500 and proxy.count_log("reload (refused|failed)") == 0, proxy.tail()
    after = proxy.memory_kib()
    assert after <= memory + 1024 or world.is_sanitized(), f"{memory} to {after} KiB"
    proxy.stop()
    world.tell(f"{changes} changes taken over, {memory} to {after} KiB")


@fault("F47", "clients that are stuck do not stretch a stop beyond its limit")
def stuck_clients_at_a_stop(world):
    proxy = world.proxy([world.backend()])
    stuck = [(request("/big/50000000"), b"HTTP/1.1 200"), (request("/wait"), b""),
             (b"POST /late/5 HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\nsome", b""),
             (b"GET / HTTP/1.1\r\nHost: a\r\nX-Half: ", b""), (request(), b"HTTP/1.1 200")]
    clients = []
    for sent, wanted in stuck * 5:
        client = world.keep(connect(proxy))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(sent)
        assert not wanted or client.recv(12) == wanted
        clients.append(client)
    proxy.stop()
