"""What the HTTP gateway itself costs: processor time of its own code, memory, and how long it keeps connections."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import orjson
import uvloop

from benchmarks.cost.client_cost import AsyncNull
from encserve import AsyncClient
from encserve_gateway.app import Gateway
from encserve_gateway.config import GatewayConfig
from encserve_gateway.http.connection import EXTENSION, Connection
from encserve_gateway.http.request import Message

CALLS = 50
"""Calls of one measurement: few, so that other programs of the machine disturb some measurements and not all."""

ROUNDS = 100
"""Measurements of each."""

CONNECTIONS = 1_000
"""That are open at once."""


def scheduled_us(pid: int) -> float:
    """Microseconds for which the threads of a process have run."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e3


def own_part_us() -> dict[str, float]:
    """Processor time of the gateway's own code for 32 x 384, in microseconds: the application over a transport that
    does nothing, from the scope of a request to the last message of its answer, less the SDK's own over the same. Of
    each the least of many measurements, which are made in turn. uvicorn's part is not in it."""
    return uvloop.run(_own_part_us())


async def _own_part_us() -> dict[str, float]:
    texts = [f"a text of a few words, number {number}" for number in range(32)]
    gateway = Gateway(lambda: AsyncClient(transport=AsyncNull()), GatewayConfig(models=("fake",)))
    bodies = {
        name: orjson.dumps({"model": "fake", "input": texts, "encoding_format": encoding})
        for name, encoding in (("base64", "base64"), ("JSON", "float"))
    }
    least_us: dict[str, float] = {}
    async with AsyncClient(transport=AsyncNull()) as client:
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "SDK": lambda: client.embed(texts, model="fake", normalize=True),
            **{name: partial(ask_application, gateway, body) for name, body in bodies.items()},
        }
        for _ in range(ROUNDS):
            for name, way in ways.items():
                begin_s = time.process_time()
                for _ in range(CALLS):
                    await way()
                took_us = (time.process_time() - begin_s) * 1e6 / CALLS
                least_us[name] = min(took_us, least_us.get(name, took_us))
    alone_us = least_us.pop("SDK")
    return {"SDK": round(alone_us, 1)} | {name: round(cost_us - alone_us, 1) for name, cost_us in least_us.items()}


async def ask_application(gateway: Gateway, body: bytes) -> None:
    """One request to the application itself."""
    messages = [{"type": "http.request", "body": body}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        never: Message = await asyncio.get_running_loop().create_future()
        return never

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/embeddings",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))],
        "extensions": {EXTENSION: {"connection": Connection()}},  # as `encserve gateway` has it
    }
    await gateway(scope, receive, send)


async def idle(url: str, pid: int) -> dict[str, object]:
    """Memory with and without open connections, and how long one is kept that is idle."""
    host, _, port = url.removeprefix("http://").partition(":")
    request = f"GET /live HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
    before_mib = resident_mib(pid)
    opened = [await asyncio.open_connection(host, int(port)) for _ in range(CONNECTIONS)]
    for reader, writer in opened:
        writer.write(request)
        await reader.readuntil(b"}")
    begin_s = time.perf_counter()
    with_mib = resident_mib(pid)
    await opened[-1][0].read()  # until it is closed
    kept_s = time.perf_counter() - begin_s
    for _, writer in opened:
        writer.close()
    return {
        "MiB of the gateway": round(before_mib, 1),
        f"MiB with {CONNECTIONS:,} open connections": round(with_mib, 1),
        "seconds that an idle connection is kept": round(kept_s, 1),
    }


def resident_mib(pid: int) -> float:
    """Memory that a process holds now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
