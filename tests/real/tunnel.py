"""A WebSocket echo, by the websockets library at both ends, through rondo."""

import asyncio
import os

from rondo import Rondo

MIB = 1 << 20


async def echo(socket, path=None):
    """Every message back; "bye" closes from this side."""
    import websockets
    try:
        async for message in socket:
            if message == "bye":
                await socket.close(4001, "as you wish")
                return
            await socket.send(message)
    except websockets.ConnectionClosed:
        pass


async def messages(client, report):
    wrong = 0
    for number in range(500):
        await client.send(f"message {number}")
        wrong += await client.recv() != f"message {number}"
    report.check("500 messages, one after the other", f"{wrong} wrong" if wrong else "")
    for number in range(500):
        await client.send(f"message {number}")
    wrong = sum([await client.recv() != f"message {number}" for number in range(500)])
    report.check("500 messages at once", f"{wrong} wrong" if wrong else "")
    for size in (0, 125, 126, 65535, 65536, 16 * MIB):
        content = os.urandom(size)
        await client.send(content)
        same = await client.recv() == content
        report.check(f"a message of {size} bytes", "" if same else "changed")
    await asyncio.wait_for(await client.ping(), 10)
    report.ok("ping and pong")


async def closing(connect, report):
    client = await connect()
    await client.close(4000, "enough")
    report.check("the client closes", "" if client.close_code == 4000 else f"{client.close_code}")
    client = await connect()
    await client.send("bye")
    await client.wait_closed()
    report.check("the server closes", "" if (client.close_code, client.close_reason) ==
                 (4001, "as you wish") else f"{client.close_code} {client.close_reason}")


async def talk(binary, report):
    import websockets
    server = await websockets.serve(echo, "127.0.0.1", 0, max_size=None, compression=None)
    port = server.sockets[0].getsockname()[1]
    rondo = await asyncio.to_thread(Rondo, binary, [f"http://127.0.0.1:{port}"])

    def connect():
        return websockets.connect(f"ws://127.0.0.1:{rondo.port}/chat", max_size=None,
                                  compression=None, open_timeout=20)

    try:
        async with connect() as client:
            await messages(client, report)
        await closing(connect, report)
        clients = await asyncio.gather(*(connect() for _ in range(50)))
        await asyncio.gather(*(client.send(f"{number}") for number, client in enumerate(clients)))
        heard = await asyncio.gather(*(client.recv() for client in clients))
        right = heard == [f"{number}" for number in range(50)]
        report.check("50 tunnels at a time", "" if right else "mixed up")
        await asyncio.gather(*(client.close() for client in clients))
    finally:
        wrong = await asyncio.to_thread(rondo.end)
        server.close()
        await server.wait_closed()
    report.check("rondo with tunnels stops cleanly", wrong)


def play(binary, report):
    asyncio.run(asyncio.wait_for(talk(binary, report), 120))
