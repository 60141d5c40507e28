#!/usr/bin/env python3
"""usage: run_cases.py RONDO [ID...]

Plays every row of cases.tsv against a running rondo: the bytes in one piece, in two pieces cut at
every byte, and a byte at a time. Both ends are looked at, and the outcome must be the same each
time. C>P rows are what a client sends, B>P rows what a backend answers; what is an event rather than
bytes is in scenarios.py. Ends with "N passed, N failed".
"""

import asyncio
import gc
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import judge  # noqa: E402
import plans  # noqa: E402
import scenarios  # noqa: E402
import wire  # noqa: E402
from peers import PATIENCE, Client, Wish, WishBackend, addresses, answer_plainly  # noqa: E402
from report import Report  # noqa: E402
from rondo import Rondo, binary_from_arguments  # noqa: E402

WIDTH = 200          # conversations at a time
NARROW = 24          # those that go byte by byte
BYTEWISE_MAX = 600   # longer rows are cut at chosen places only
WEBSOCKET = (b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
ASKS = {
    "get": b"GET /row HTTP/1.1\r\nHost: a\r\n\r\n",
    "head": b"HEAD /row HTTP/1.1\r\nHost: a\r\n\r\n",
    "old": b"GET /row HTTP/1.0\r\nHost: a\r\n\r\n",
    "expect": b"POST /row HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
              b"Content-Length: 5\r\n\r\nhello",
    "websocket": b"GET /row HTTP/1.1\r\nHost: a\r\n" + WEBSOCKET + b"\r\n",
}
AGAIN = b"GET /again HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADED = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")


def read_table(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as table:
        return [line.rstrip("\n").split("\t") for line in table if not line.startswith("#")]


class Row:
    def __init__(self, cells, sharper):
        name, direction, text, words = cells[:4]
        self.name = name
        self.direction = direction
        self.words = words
        self.event = "FIN" if words.endswith("wait") else ""
        if text.endswith("<FIN>"):
            text, self.event = text[:-5], "FIN"
        self.data = wire.unescape(text)
        self.plans = plans.row_plans(self, sharper.get(name, ""))


def cuts(data):
    """Two pieces, cut at every byte; for long ones around both ends and here and there between."""
    places = range(1, len(data))
    if len(data) > BYTEWISE_MAX:
        step = max(1, len(data) // 24)
        ends = {*range(1, 60), *range(len(data) - 8, len(data))}
        places = sorted(ends | {*range(60, len(data), step)})
    return [[data[:place], data[place:]] for place in places]


def bytewise(data):
    return [bytes([byte]) for byte in data]


class Table:
    """The rows being played against one rondo and one backend."""

    def __init__(self, report, port, backend):
        self.report = report
        self.port = port
        self.backend = backend
        self.address = addresses()
        self.untouched = []  # (name, wish) of conversations that no backend may hear of

    async def converse(self, plan, request, play):
        """One conversation; empty when it went as planned, else what was wrong."""
        address = next(self.address)
        wish = self.backend.wishes[address] = Wish(play)
        client = await Client.connect(self.port, address)
        sending = asyncio.create_task(client.send(request))
        outcome = judge.Outcome(wish, self.backend.url)
        try:
            await self.listen(plan, client, outcome, sending)
            wrong = judge.judge(plan, outcome)
        except wire.WireError as error:
            wrong = f"the client got {error}"
        finally:
            sending.cancel()
            client.close()
        if plan.keeps_backend_out():
            self.untouched.append((address, wish))
        return wrong or "; ".join(wish.faults)

    async def listen(self, plan, client, outcome, sending):
        for number in range(plan.most_answers()):
            message, complete = await client.answer(plan.is_head and number == 0)
            if message is None:
                break
            outcome.answers.append(message)
            outcome.complete = complete
            says_close = b"close" in message.tokens(b"connection")
            if not complete or (message.status >= 200 and says_close):
                await client.read_to_end()
                break
        if plan.wants("end", "given-up"):
            await sending
            client.finish_sending()
        if not plan.wants("end", "keep", "either", "none"):
            await client.read_to_end()
        tunnel = plan.tunnel()
        while len(client.unread) < len(tunnel) and await client.read():
            pass
        is_torn = outcome.answers and not outcome.complete
        outcome.spare = b"" if is_torn else client.unread
        outcome.ended = client.ended
        if plan.wants("pool", "no") and outcome.wish.links and not await self.is_closed(outcome):
            outcome.closed_by_rondo = False
        if plan.wants("end", "keep", "either") and not client.ended:
            await client.send([AGAIN])
            outcome.again = await client.answer()

    async def is_closed(self, outcome):
        try:
            await asyncio.wait_for(outcome.wish.links[0].closed.wait(), PATIENCE)
        except asyncio.TimeoutError:
            return False
        return True

    def request_row(self, row, pieces):
        plan = row.plans[0]

        async def upgrade(link, request):
            link.send(UPGRADED)
            while await link.read():
                link.send(link.unread)
                link.unread = b""

        play = upgrade if plan.alternatives[0].statuses == [101] else answer_plainly
        return self.converse(plan, pieces, play)

    def response_row(self, row, plan, pieces):
        async def play(link, request):
            if request.start[1] == b"/again":
                await answer_plainly(link, request)
                return
            await link.send_pieces(pieces)
            if row.event:
                link.close()

        return self.converse(plan, [ASKS[plan.ask]], play)

    async def batch(self, width, jobs):
        """Runs (name, make) jobs. A name is one check; what is wrong first is told."""
        gate = asyncio.Semaphore(width)
        wrong = {}

        async def one(name, make):
            async with gate:
                try:
                    why = await make()
                except OSError as error:
                    why = f"the test's own connection: {error}"
            wrong.setdefault(name, [])
            if why:
                wrong[name].append(why)

        await asyncio.gather(*(one(name, make) for name, make in jobs))
        for name, reasons in wrong.items():
            more = f" (and {len(reasons) - 1} more like it)" if len(reasons) > 1 else ""
            self.report.check(name, reasons[0] + more if reasons else "")

    async def play_requests(self, rows):
        wide, narrow = [], []
        for row in rows:
            wide.append((f"{row.name} in one piece", lambda r=row: self.request_row(r, [r.data])))
            for pieces in cuts(row.data):
                wide.append((f"{row.name} cut in two",
                             lambda r=row, p=pieces: self.request_row(r, p)))
            if len(row.data) <= BYTEWISE_MAX:
                narrow.append((f"{row.name} byte by byte",
                               lambda r=row: self.request_row(r, bytewise(r.data))))
        await self.batch(WIDTH, wide)
        await self.batch(NARROW, narrow)

    async def play_responses(self, rows):
        for row in rows:  # one after the other: only then is it known which connection is reused
            for plan in row.plans:
                await self.batch(1, [(f"{row.name} ({plan.ask}) in one piece",
                                      lambda r=row, p=plan: self.response_row(r, p, [r.data]))])
        wide, narrow, alone = [], [], []
        for row in rows:
            # Bytes behind a response may come when somebody else already has that connection.
            is_alone = row.words.endswith("extra")
            for plan in row.plans if is_alone else [plan.among_others() for plan in row.plans]:
                name = f"{row.name} ({plan.ask})"
                for pieces in cuts(row.data):
                    (alone if is_alone else wide).append(
                        (f"{name} cut in two",
                         lambda r=row, p=plan, b=pieces: self.response_row(r, p, b)))
                if len(row.data) <= BYTEWISE_MAX:
                    (alone if is_alone else narrow).append(
                        (f"{name} byte by byte",
                         lambda r=row, p=plan: self.response_row(r, p, bytewise(r.data))))
        await self.batch(WIDTH, wide)
        await self.batch(NARROW, narrow)
        await self.batch(1, alone)

    def check_untouched(self):
        heard = [f"{address}: {requests or wish.partial}" for address, wish in self.untouched
                 if (requests := [one for one in wish.requests if one.start[1] != b"/again"]) or wish.partial]
        self.report.check("no refused request reached a backend", "; ".join(heard[:5]))
        self.report.check("the backend got nothing that belongs to nobody",
                          "; ".join(self.backend.stray[:5]))


async def play_table(binary, report, names):
    sharper = dict(read_table("wire.tsv"))
    rows = [Row(cells, sharper) for cells in read_table("cases.tsv")]
    rows = [row for row in rows if not names or row.name in names]
    backend = WishBackend()
    await backend.start()
    settings = ["retry.tries=1", "timeouts.backend_idle=60s", "max_delay_response=60s",
                "timeouts.connect=60s", "timeouts.request_head=60s", "retry.deadline=60s"]
    rondo = await asyncio.to_thread(Rondo, binary, [backend.url], settings)
    table = Table(report, rondo.port, backend)
    await table.play_requests([row for row in rows if row.direction == "C>P"])
    await table.play_responses([row for row in rows if row.direction == "B>P"])
    table.check_untouched()
    report.check("rondo stops cleanly", await asyncio.to_thread(rondo.end))
    backend.stop()


async def play(binary, report, names):
    # A full collection stops both peers for seconds: not while somebody waits for them.
    gc.set_threshold(700, 10, 1000000)
    await play_table(binary, report, names)
    gc.collect()
    await scenarios.play(binary, report, names)


def main():
    binary = binary_from_arguments(__doc__.splitlines()[0])
    report = Report()
    asyncio.run(play(binary, report, sys.argv[2:]))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
