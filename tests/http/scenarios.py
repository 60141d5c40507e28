"""What is an event rather than bytes: pauses, ends, resets, clients and backends that are slow or
gone. Each is a function, and its first line says what must come of it.

They run one after the other, those about a limit in time against a rondo where these are short.
Nothing is measured against the clock: a limit either ends a conversation or the test runs out of
patience.
"""

import asyncio
import socket

import wire
from peers import PATIENCE, Client, Link, Wish, WishBackend, addresses, answer_plainly
from rondo import Rondo

PATIENT = ["retry.tries=1", "max_delay_response=60s", "timeouts.connect=60s",
           "timeouts.backend_idle=60s", "limits.body_bytes=1m"]
HASTY = ["retry.tries=1", "max_delay_response=2s", "timeouts.request_head=2s",
         "timeouts.keep_alive=2s", "timeouts.send=2s", "timeouts.response=2s"]
GET = b"GET /row HTTP/1.1\r\nHost: a\r\n\r\n"
BEGUN = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc"
MIB = 1 << 20


class Wrong(Exception):
    """What should not have happened, in words."""


def expect(holds, otherwise):
    if not holds:
        raise Wrong(otherwise)


class Stage:
    """A rondo, its backend, and the clients a scenario has."""

    def __init__(self, rondo, backend):
        self.rondo = rondo
        self.backend = backend
        self.address = addresses()
        self.wish = None
        self.clients = []

    async def client(self, play=answer_plainly):
        """A connected client; what the backend does for it is `play`."""
        address = next(self.address)
        self.wish = self.backend.wishes[address] = Wish(play)
        client = await Client.connect(self.rondo.port, address)
        self.clients.append(client)
        return client

    async def until_arrived(self):
        try:
            await asyncio.wait_for(self.wish.arrived.wait(), PATIENCE)
        except asyncio.TimeoutError:
            raise Wrong("the request does not reach the backend") from None

    async def until_closed(self):
        """Waits until rondo has ended the connection that the first request came on."""
        await self.until_arrived()
        try:
            await asyncio.wait_for(self.wish.links[0].closed.wait(), PATIENCE)
        except asyncio.TimeoutError:
            raise Wrong("the backend connection was not closed") from None

    def leave(self):
        for client in self.clients:
            client.close()
        self.clients.clear()


class EarlyStage:
    """A rondo of its own, whose backend acts on first bytes, or on being connected to."""

    def __init__(self, stage, act, on_accept=False):
        self.binary = stage.rondo.binary
        self.act = act
        self.on_accept = on_accept
        self.ended = asyncio.Event()
        self.connections = 0

    async def _serve(self, reader, writer):
        link = Link(reader, writer)
        self.connections += 1
        if self.on_accept or await link.read():
            await self.act(link)
        while await link.read():
            pass
        self.ended.set()
        writer.close()

    async def until_ended(self):
        try:
            await asyncio.wait_for(self.ended.wait(), PATIENCE)
        except asyncio.TimeoutError:
            raise Wrong("the backend connection stays open") from None

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        self.rondo = await asyncio.to_thread(Rondo, self.binary, [url], PATIENT)
        self.client = await Client.connect(self.rondo.port, "127.0.0.1")
        return self

    async def __aexit__(self, kind, error, trace):
        self.client.close()
        wrong = await asyncio.to_thread(self.rondo.end)
        self.server.close()
        expect(kind or not wrong, f"rondo: {wrong}")


async def expect_answer(client, status, body=None):
    message, complete = await client.answer()
    expect(message is not None, f"no answer, not {status} ({client.ended})")
    expect(message.status == status, f"answered {message.status}, not {status}")
    expect(complete, "the answer is not complete")
    expect(body is None or message.body == body, f"content {message.body[:60]!r}, not {body!r}")
    return message


async def expect_end(client):
    expect(await client.read_to_end() in ("close", "reset"), "the client connection stays open")


# ---- what a client does --------------------------------------------------------------------------


async def EX08(stage):
    """A backend refuses an expectation: the client reads that; its content is no request."""
    content = b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"

    async def refuse(link):
        link.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")

    async with EarlyStage(stage, refuse) as early:
        await early.client.send([head % len(content)])
        await expect_answer(early.client, 417)
        await early.client.send([content])
        await expect_end(early.client)
        await early.until_ended()
    expect(early.connections == 1, f"the backend saw {early.connections} connections")


async def PL03(stage):
    """A thousand requests at once: a thousand answers, one after the other."""
    client = await stage.client()
    await client.send([b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(1000))])
    for number in range(1000):
        await expect_answer(client, 200, b"GET /%d" % number)
    expect(len(stage.wish.requests) == 1000, f"the backend got {len(stage.wish.requests)}")


async def PL05(stage):
    """The boundary of the second request lies in the first packet: 34 bytes are its content."""
    client = await stage.client()
    first = (b"POST / HTTP/1.1\r\nContent-Length: 0\r\nConnection:keep-alive\r\nHost: a\r\n\r\n"
             b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 34\r\n\r\n")
    second = b"GET / HTTP/1.1\r\nHost: a\r\nid: 2222\r\n\r\n"
    await client.send([first])
    await expect_answer(client, 200)
    await client.send([second])
    await expect_answer(client, 200)
    await expect_answer(client, 400)
    await expect_end(client)
    bodies = [request.body for request in stage.wish.requests]
    expect(bodies == [b"", second[:34]], f"the backend got {bodies!r}")


async def PL06(stage):
    """A head in pieces is the head."""
    client = await stage.client()
    await client.send([b"G", b"ET / HT", b"TP/1.1\r", b"\nHo", b"st: a\r\n\r", b"\n"])
    await expect_answer(client, 200, b"GET /")


async def TM01(stage):
    """A client that connects and sends nothing is closed without a word."""
    client = await stage.client()
    await client.read_to_end()
    expect(client.ended == "close" and not client.unread, f"{client.ended} {client.unread[:60]!r}")


async def TM02(stage):
    """A head that comes a line at a time gets 408 when its whole time is over."""
    client = await stage.client()

    async def drip():
        await client.send([b"GET / HTTP/1.1\r\nHost: a\r\n"])
        while not client.ended:
            await asyncio.sleep(0.1)
            await client.send([b"X-a: b\r\n"])

    dripping = asyncio.create_task(drip())
    answer = await expect_answer(client, 408)
    dripping.cancel()
    expect(answer.tokens(b"connection") == [b"close"], "408 without Connection: close")
    await expect_end(client)
    expect(not stage.wish.requests, "the backend was bothered")


async def TM04(stage):
    """A client that does not read: the backend is held back, and the connection ends."""
    client = await slow_reader(stage, 256 * MIB)
    await stage.until_closed()
    # The kernel's own buffers on both ways may grow to 32 MiB each.
    expect(stage.written < 128 * MIB, f"the backend could send {stage.written} bytes")
    client.writer.transport.resume_reading()
    await expect_end(client)
    expect(len(client.unread) < 256 * MIB, "the whole answer came")


async def TM05(stage):
    """A client that ends its sending before the answer has gone: its backend connection ends, and nothing comes."""
    async def silence(link, request):
        pass

    client = await stage.client(silence)
    await client.send([GET])
    await stage.until_arrived()
    client.finish_sending()
    await stage.until_closed()
    await client.read_to_end()
    expect(client.ended == "close" and not client.unread, f"{client.ended} {client.unread[:60]!r}")


async def TM06(stage):
    """A client that resets before the answer: its backend connection is not kept waiting."""
    async def silence(link, request):
        pass

    client = await stage.client(silence)
    await client.send([GET])
    await stage.until_arrived()
    client.reset()
    await stage.until_closed()


async def late_request(stage):
    """A request behind one that said close: it is not answered, and harms no answer."""
    size = 300000

    async def long(link, request):
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)

    client = await stage.client(long)
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.writer.transport.pause_reading()
    await client.send([b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"])
    await stage.until_arrived()
    await asyncio.sleep(0.2)
    await client.send([GET])
    await asyncio.sleep(0.2)
    client.writer.transport.resume_reading()
    await expect_answer(client, 200, b"x" * size)
    expect(len(stage.wish.requests) == 1, "the second request was passed on")


async def UP03(stage):
    """An upgrade that the backend refuses: what is behind it is a request like any other."""
    client = await stage.client()
    await client.send([b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                       b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                       b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                       b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"])
    first = await expect_answer(client, 200, b"GET /ws")
    if b"close" not in first.tokens(b"connection"):
        await expect_answer(client, 200, b"GET /2")
    else:
        await expect_end(client)


async def SZ01(stage):
    """Content above the limit gets 413 before it is read, and the client can read that."""
    client = await stage.client()
    await client.send([b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n"])
    sending = asyncio.create_task(client.send([b"x" * 65536] * 100))
    await expect_answer(client, 413)
    await expect_end(client)
    sending.cancel()
    expect(not stage.wish.requests, "the backend got it")


# ---- what a backend does -------------------------------------------------------------------------


async def RS29(stage):
    """A backend that ends every connection at once: 502."""
    async def finish(link):
        link.close()

    async with EarlyStage(stage, finish, on_accept=True) as early:
        await early.client.send([GET])
        await expect_answer(early.client, 502)


async def RS30(stage):
    """A backend that resets every connection at once: 502."""
    async def reset(link):
        link.reset()

    async with EarlyStage(stage, reset, on_accept=True) as early:
        await early.client.send([GET])
        await expect_answer(early.client, 502)


async def RF16(stage):
    """A response until the end of the connection that is reset: the client can tell."""
    async def reset(link, request):
        link.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await asyncio.sleep(0.1)
        link.reset()

    for version in (b"1.1", b"1.0"):
        client = await stage.client(reset)
        await client.send([b"GET / HTTP/" + version + b"\r\nHost: a\r\n\r\n"])
        message, complete = await client.answer()
        expect(message is not None and message.status == 200 and message.body == b"hello",
               "no beginning of an answer")
        expect(not complete, f"the HTTP/{version.decode()} client believes that this is all")
        expect(client.ended == "reset" or message.framing != "close", "closed as if this were all")


async def RF37(stage):
    """A backend that announces the end and does not come to it is not waited for."""
    async def linger(link, request):
        link.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

    client = await stage.client(linger)
    await client.send([GET])
    await expect_answer(client, 200, b"ok")
    await stage.until_closed()


async def R103(stage):
    """Interim responses without end: a hundred are passed on, then 502."""
    async def flood(link, request):
        link.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 10000)
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    client = await stage.client(flood)
    await client.send([GET])
    for _ in range(100):
        await expect_answer(client, 103)
    await expect_answer(client, 502)
    await stage.until_closed()


async def R113(stage):
    """Interim responses do not extend the wait for the answer: 504."""
    async def interim(link, request):
        there = True
        while there:
            link.send(b"HTTP/1.1 102 Processing\r\n\r\n")
            try:
                there = await asyncio.wait_for(link.read(), 0.2)
            except asyncio.TimeoutError:
                pass

    client = await stage.client(interim)
    await client.send([GET])
    statuses = []
    while not statuses or statuses[-1] < 200:
        message, _ = await client.answer()
        expect(message is not None, f"no final answer after {statuses}")
        statuses.append(message.status)
    expect(set(statuses[:-1]) <= {102} and statuses[-1] == 504, f"answered {statuses}")
    await stage.until_closed()


async def RT01(stage):
    """A backend that never answers: 504, and a POST is sent to it once."""
    async def silence(link, request):
        pass

    for request in (GET, b"POST /row HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"):
        client = await stage.client(silence)
        await client.send([request])
        await expect_answer(client, 504)
        await stage.until_closed()
        expect(len(stage.wish.requests) == 1, f"sent {len(stage.wish.requests)} times")


async def RT02(stage):
    """An answer that comes before the request is complete is passed on; that connection is over."""
    async def answer(link):
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    async with EarlyStage(stage, answer) as early:
        await early.client.send([BEGUN])
        await expect_answer(early.client, 200, b"hello")
        await early.until_ended()


async def RT03(stage):
    """413 and the end of the connection while the client still sends: the client reads the 413."""
    async def refuse(link):
        link.send(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        link.finish_sending()

    async with EarlyStage(stage, refuse) as early:
        await early.client.send([BEGUN])
        sending = asyncio.create_task(early.client.send([b"x" * 10000] * 90))
        await expect_answer(early.client, 413)
        sending.cancel()


async def RT04(stage):
    """A body that comes drop by drop is relayed, though all of it takes longer than a limit."""
    async def drip(link, request):
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")
        for letter in b"drop by drop":
            await asyncio.sleep(0.25)
            link.send(bytes([letter]))

    client = await stage.client(drip)
    await client.send([GET])
    await expect_answer(client, 200, b"drop by drop")


async def RT05(stage):
    """A gigabyte for a client that does not read stays where it comes from."""
    before = stage.rondo.memory_kib()
    await slow_reader(stage, 1000 * MIB)
    await stage.until_closed()
    expect(stage.written < 128 * MIB, f"the backend could send {stage.written} bytes")
    grown = stage.rondo.memory_kib() - before
    expect(grown < 32 * 1024, f"rondo grew by {grown} KiB")


async def RT07(stage):
    """An idle connection that ends as the next request comes: GET goes again, POST gets 502."""
    for method, status, times in ((b"GET", 200, 2), (b"POST", 502, 1)):
        dying = []

        async def play(link, request):
            if request.start[1] == b"/first":
                dying.append(link)
                await answer_plainly(link, request)
            elif link in dying:
                link.close()
            else:
                await answer_plainly(link, request)

        client = await stage.client(play)
        await client.send([b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n"])
        await expect_answer(client, 200)
        await client.send([method + b" /second HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"])
        message, _ = await client.answer()
        expect(message is not None, f"no answer to the second {method!r}")
        sent = [one for one in stage.wish.requests if one.start[1] == b"/second"]
        reused = stage.wish.links[1] is dying[0]
        if reused:
            expect(message.status == status, f"{method!r} got {message.status}, not {status}")
            expect(len(sent) == times, f"{method!r} was sent {len(sent)} times, not {times}")
        else:
            expect(method == b"POST" and message.status == 200 and len(sent) == 1,
                   f"{method!r} got {message.status} on a fresh connection, {len(sent)} times")


async def RT09(stage):
    """A client that leaves in the middle of its answer: the backend connection ends."""
    async def half(link, request):
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)

    client = await stage.client(half)
    await client.send([GET])
    expect(await client.read(), "nothing of the answer came")
    client.reset()
    await stage.until_closed()


async def slow_reader(stage, size):
    """A client that wants `size` bytes and reads none; stage.written counts what was sent."""
    stage.written = 0

    async def flood(link, request):
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        block = b"x" * 65536
        try:
            for _ in range(size // len(block)):
                link.writer.write(block)
                await link.writer.drain()
                stage.written += len(block)
        except OSError:
            pass

    client = await stage.client(flood)
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.writer.transport.pause_reading()
    await client.send([GET])
    return client


SCENARIOS = [
    (PATIENT, [EX08, PL03, PL05, PL06, TM05, TM06, UP03, SZ01, late_request, RS29, RS30, RF16, RF37,
               R103, RT02, RT03, RT07, RT09]),
    (HASTY, [TM01, TM02, TM04, R113, RT01, RT04, RT05])]


async def play(binary, report, names):
    """Plays the scenarios of these names, or all where there are none."""
    for settings, scenarios in SCENARIOS:
        chosen = [one for one in scenarios if not names or one.__name__ in names]
        if chosen:
            await play_with(binary, report, settings, chosen)


async def play_with(binary, report, settings, scenarios):
    backend = WishBackend()
    await backend.start()
    rondo = await asyncio.to_thread(Rondo, binary, [backend.url], settings)
    stage = Stage(rondo, backend)
    for scenario in scenarios:
        try:
            await asyncio.wait_for(scenario(stage), 2 * PATIENCE)
            why = "; ".join(stage.wish.faults) if stage.wish else ""
        except Wrong as wrong:
            why = str(wrong)
        except wire.WireError as error:
            why = f"the client got {error}"
        except asyncio.TimeoutError:
            why = "no end to it"
        report.check(f"{scenario.__name__} ({scenario.__doc__.rstrip('.')})", why)
        stage.leave()
    report.check("nothing reached the backend that belongs to nobody", "; ".join(backend.stray[:5]))
    report.check("rondo stops cleanly after the scenarios", await asyncio.to_thread(rondo.end))
    backend.stop()
