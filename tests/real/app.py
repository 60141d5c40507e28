"""A FastAPI application as people write them. BEHAVIOUR in the environment spoils it:

alterfailed  every other request to / fails with 500
timeout      every request to / is answered after a minute
"""

import asyncio
import os

from fastapi import FastAPI, Request, Response
from starlette.responses import StreamingResponse

BEHAVIOUR = os.environ.get("BEHAVIOUR", "app")

app = FastAPI()
asked = {"times": 0}


@app.get("/")
async def root():
    asked["times"] += 1
    if BEHAVIOUR == "alterfailed" and asked["times"] % 2 == 0:
        return Response("failed", status_code=500)
    if BEHAVIOUR == "timeout":
        await asyncio.sleep(60)
    return {"message": "ok"}


@app.get("/asked")
async def how_often():
    """How many requests to / there were."""
    return asked


@app.post("/echo")
async def echo(request: Request):
    """The JSON that came."""
    return await request.json()


@app.put("/upload")
async def upload(request: Request):
    """How many bytes came, and their sum."""
    total, checksum = 0, 0
    async for block in request.stream():
        total += len(block)
        checksum = (checksum + sum(block)) % (1 << 32)
    return {"bytes": total, "sum": checksum}


@app.get("/events")
async def events():
    """Ten server-sent events."""
    async def stream():
        for number in range(10):
            yield f"data: {number}\n\n"
            await asyncio.sleep(0.02)

    return StreamingResponse(stream(), media_type="text/event-stream")
