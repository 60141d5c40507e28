"""The two ends of a conversation through rondo: a raw client and a raw backend, both on asyncio, because two hundred
conversations go on at a time.

Every client has a loopback address of its own (127.x.y.z). rondo tells it to the backend in
X-Forwarded-For, and that is how the backend knows which of hundreds of conversations a request
belongs to, without a byte being added to what the client sends.
"""

import asyncio
import itertools
import socket

import wire
from peer import reset_at_close

PATIENCE = 60  # seconds; longer than elsewhere, because so many conversations share two processes
PAUSE = 0.002  # between two pieces, so that they arrive as two reads


def addresses():
    """Loopback addresses, each one once."""
    for number in itertools.count():
        yield f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"


class Wish:
    """What the backend is to do with the requests of one client: await play(link, request)."""

    def __init__(self, play):
        self.play = play
        self.requests = []   # complete ones, in the order they came
        self.links = []      # the connection each of them came on
        self.partial = None  # a request that began and was never finished
        self.faults = []
        self.arrived = asyncio.Event()  # the first of them is complete


class End:
    """One end of a connection."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.unread = b""

    def finish_sending(self):
        try:
            self.writer.write_eof()
        except OSError:
            pass  # rondo was quicker

    def close(self):
        self.writer.close()

    def reset(self):
        reset_at_close(self.writer.get_extra_info("socket"))
        self.writer.transport.abort()


class Link(End):
    """One connection that rondo opened to the backend."""

    def __init__(self, reader, writer):
        super().__init__(reader, writer)
        self.closed = asyncio.Event()  # ended, by either side

    def send(self, data):
        if not self.writer.is_closing():
            self.writer.write(data)

    async def send_pieces(self, pieces):
        for piece in pieces:
            self.send(piece)
            await asyncio.sleep(PAUSE)

    async def read(self):
        """More bytes, or False at the end."""
        try:
            data = await self.reader.read(65536)
        except OSError:
            data = b""
        self.unread += data
        return bool(data)


async def answer_plainly(link, request):
    """The method and the target back as content, so that a swapped answer is seen."""
    content = request.start[0] + b" " + request.start[1]
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content)
    link.send(head if request.start[0] == b"HEAD" else head + content)


class WishBackend:
    """Listens, parses what rondo sends by the letter, and plays the wish of whose request it is."""

    def __init__(self):
        self.wishes = {}
        self.stray = []  # bytes that belong to nobody
        self.links = []  # every connection there ever was
        self.server = None
        self.port = 0

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        self.server.close()

    def whose(self, message):
        client = message.value(b"x-forwarded-for").decode("latin-1")
        return self.wishes.get(client)

    async def _serve(self, reader, writer):
        link = Link(reader, writer)
        self.links.append(link)
        try:
            await self._requests(link)
        except wire.WireError as error:
            self.stray.append(f"{error}: {link.unread[:300]!r}")
            self.blame(link, str(error))
        except OSError:
            pass
        finally:
            link.closed.set()
            writer.close()

    def blame(self, link, why):
        for client, wish in self.wishes.items():
            if client.encode() in link.unread:
                wish.faults.append(why)

    async def _requests(self, link):
        while True:
            message, complete = wire.parse_request(link.unread)
            if not complete:
                if await link.read():
                    continue
                self._cut_off(link, message)
                return
            link.unread = link.unread[message.raw_length:]
            wish = self.whose(message)
            if wish is None:
                self.stray.append(f"a request of nobody: {message.start!r} {message.fields!r}")
                return
            wish.requests.append(message)
            wish.links.append(link)
            wish.arrived.set()
            await wish.play(link, message)
            if link.writer.is_closing():
                return

    def _cut_off(self, link, message):
        if message is None:
            if link.unread:
                self.stray.append(f"a head without end: {link.unread[:300]!r}")
            return
        wish = self.whose(message)
        if wish is None:
            self.stray.append(f"a torn request of nobody: {link.unread[:300]!r}")
        else:
            wish.partial = message


class Client(End):
    """One client connection: sends bytes as they are, reads answers by the letter."""

    def __init__(self, reader, writer):
        super().__init__(reader, writer)
        self.ended = ""  # "close" or "reset" once the other side has ended it

    @classmethod
    async def connect(cls, port, address):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=(address, 0))
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(reader, writer)

    async def send(self, pieces):
        """Writing to a connection that rondo has ended is no fault of anybody's."""
        try:
            for number, piece in enumerate(pieces):
                if number:
                    await asyncio.sleep(PAUSE)
                self.writer.write(piece)
                await self.writer.drain()
        except OSError:
            pass

    async def read(self):
        """More bytes, or False when there will be none."""
        if self.ended:
            return False
        try:
            data = await asyncio.wait_for(self.reader.read(65536), PATIENCE)
        except asyncio.TimeoutError:
            self.ended = "silence"
            return False
        except OSError:
            data = None
        if not data:
            self.ended = "close" if data is not None else "reset"
            return False
        self.unread += data
        return True

    async def answer(self, to_head=False):
        """(message, complete); (None, False) when the connection ended before a head was whole."""
        while True:
            message, complete = wire.parse_response(self.unread, to_head, self.ended == "close")
            if complete:
                self.unread = self.unread[message.raw_length:]
                return message, True
            if self.ended or not await self.read():
                if message is None or self.ended != "close" or message.framing != "close":
                    return message, False

    async def read_to_end(self):
        while await self.read():
            pass
        return self.ended
