#!/usr/bin/env python3
"""usage: backend.py NAME [PORT|PATH]

A backend that can be stopped and killed. Says its port in the first line, then one line for each request
it has read and one when it has answered. The target says what it does:

    /             answers NAME and the target
    /close        the same, and closes
    /after/MS     the same, after a pause
    /echo         answers the content
    /wait         never answers
    /part, /chunks  begins an answer, counted or chunked, and never ends it
    /big/BYTES    as much content as that
    /late/BYTES   the same, but reads the content of the request first
    /tunnel       switches to another protocol, in which it says what it hears
"""

import asyncio
import os
import sys

NAME = sys.argv[1]
PIECE = b"x" * 65536


def say(word, target):
    os.write(1, f"{word} {target}\n".encode())


async def read_content(reader, head):
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return await reader.readexactly(int(line[15:]))
    return b""


async def answer(reader, writer, target, content):
    """True when the connection may go on."""
    _, what, *rest = target.split("/")
    if what == "wait":
        await reader.read()
        return False
    if what == "after":
        await asyncio.sleep(int(rest[0]) / 1000)
    if what == "part":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"p" * 1000)
        await reader.read()
        return False
    if what == "chunks":
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n")
        await reader.read()
        return False
    if what == "tunnel":
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        return False
    if what in ("big", "late"):
        left = int(rest[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
        while left:
            writer.write(PIECE[:left])
            left -= min(left, len(PIECE))
            await writer.drain()
        return True
    body = content if what == "echo" else f"{NAME} {target}".encode()
    closes = b"Connection: close\r\n" if what == "close" else b""
    writer.write(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (closes, len(body), body))
    await writer.drain()
    return what != "close"


async def serve(reader, writer):
    try:
        goes_on = True
        while goes_on:
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split(b" ", 2)[1].decode()
            say("got", target)
            content = await read_content(reader, head)
            goes_on = await answer(reader, writer, target, content)
            say("answered", target)
    except (OSError, EOFError, ValueError):
        pass
    finally:
        writer.close()


async def main():
    place = sys.argv[2] if len(sys.argv) > 2 else "0"
    if place.startswith("/"):
        server = await asyncio.start_unix_server(serve, place)
        print(place, flush=True)
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", int(place), backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
