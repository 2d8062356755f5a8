"""Texts through the HTTP gateway beside the same through the SDK, in pairs, on one server, in one run.

    python -m benchmarks.cost.gateway [--rounds 5] [--texts 2048] [--repository FOLDER] [--beside infinity-torch]
        [--idle] [--json FILE]

The gateway has one core. Each round asks the same texts of the SDK, of the gateway in base64 and of the gateway in JSON
numbers, in an order that turns; ratios are those within a round. Single texts are asked in turn of both, one at a time,
for what the gateway adds. Its processor time is the kernel's count of its process, and, for its own part, that of the
application over a transport that does nothing, less the SDK's over the same. `--beside` asks another server of HTTP the
same texts in the same rounds, with the same weights, on all cores and on its fastest answers; whoever is not asked is
idle. `--idle` measures something else, and
needs no server: memory with 1,000 open connections, and how long one is kept that is idle, for which it waits.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
import orjson
import pybase64

from benchmarks.cost.gateway_process import idle, own_part_us, scheduled_us
from benchmarks.exported import CHECKPOINT, MODEL
from benchmarks.machine import describe_machine
from benchmarks.served import served
from benchmarks.systems.servers.http_peer import HttpPeer
from benchmarks.systems.servers.infinity import System as Infinity
from benchmarks.workloads import make_workload
from encserve import AsyncClient

CALLERS = {1: 32, 32: 8}
"""Texts of a request -> callers, each of which sends its next request when the last was answered."""

SINGLES = 300
"""Single texts that are asked of both, one at a time."""

CALLS = 100
"""Requests of 32 texts whose processor time is counted."""

PEERS = {
    "infinity-torch": ("torch",),
    "infinity-optimum": ("optimum", "model_O3.onnx"),
}
"""Other servers of HTTP -> their engine and graph."""

Ask = Callable[[list[str]], Awaitable[object]]


@dataclass(frozen=True)
class Asked:
    """Who is asked: the server over gRPC, its gateway over HTTP with its process, and another server or none."""

    upstream: str
    url: str
    pid: int
    peer: HttpPeer | None


def main() -> None:
    """Serve, measure, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=2_048, help="in each measurement")
    parser.add_argument("--repository", type=Path, help="with the pipeline minilm, in place of a fresh export")
    parser.add_argument("--beside", choices=sorted(PEERS), help="a server of HTTP beside ours; make bench-peers first")
    parser.add_argument("--idle", action="store_true", help="1,000 connections alone, and how long an idle one is kept")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    figures: dict[str, object] = {"machine": describe_machine()}
    if arguments.idle:
        with on_one_core("127.0.0.1:1") as (pid, url):
            figures |= asyncio.run(idle(url, pid))
    else:
        figures["own part, us"] = own_part_us()
        with ExitStack() as running:
            server = running.enter_context(served(arguments.repository))
            pid, url = running.enter_context(on_one_core(server.grpc_url))
            peer = running.enter_context(closing(Infinity(*PEERS[arguments.beside]))) if arguments.beside else None
            figures |= asyncio.run(measure(Asked(server.grpc_url, url, pid, peer), arguments))
    for name, value in figures.items():
        print(f"{name:<52}{value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


@contextmanager
def on_one_core(upstream: str) -> Iterator[tuple[int, str]]:
    """A gateway that has the last core of this process: its process, and its address."""
    cores = os.sched_getaffinity(0)
    command = [sys.executable, "-m", "encserve", "gateway", "--url", upstream, "--model", MODEL, "--port", "0"]
    os.sched_setaffinity(0, {max(cores)})  # what is started inherits it
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    finally:
        os.sched_setaffinity(0, cores)
    with process:
        assert process.stdout is not None
        try:
            yield process.pid, process.stdout.readline().split()[-1]
        finally:
            process.terminate()


async def measure(asked: Asked, arguments: argparse.Namespace) -> dict[str, object]:
    """The figures, by name."""
    texts = make_workload("mixed", CHECKPOINT).texts[: arguments.texts]
    figures: dict[str, object] = {}
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    async with (
        AsyncClient(asked.upstream, timeout_s=600) as client,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        ways = {
            "SDK": sdk(client),
            "base64": over_http(session, asked.url, "base64"),
            "JSON": over_http(session, asked.url, "float"),
        }
        if asked.peer:
            ways[arguments.beside] = over_http_of(asked.peer, session)
        for size, callers in CALLERS.items():
            speeds = await in_rounds(ways, texts, size, callers, arguments.rounds)
            figures[f"SDK texts/s, requests of {size}"] = round(statistics.median(speeds["SDK"]), 1)
            for name in list(ways)[1:]:
                ratios = [one / other for one, other in zip(speeds[name], speeds["SDK"], strict=True)]
                spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
                figures[f"{name} / SDK, requests of {size}"] = spread
        figures |= await added(ways, texts)
        for name in ("base64", "JSON"):
            cost_us = await process_us(ways[name], texts[:32], asked.pid)
            figures[f"processor us of the gateway, 32 x 384 {name}"] = round(cost_us, 1)
    return figures


def sdk(client: AsyncClient) -> Ask:
    """Asks the server itself."""

    async def ask(texts: list[str]) -> None:
        assert len(await client.embed(texts, model=MODEL)) == len(texts)

    return ask


def over_http(session: aiohttp.ClientSession, url: str, encoding: str) -> Ask:
    """Asks the gateway, and reads the vectors of its answer."""

    async def ask(texts: list[str]) -> None:
        body = orjson.dumps({"model": MODEL, "input": texts, "encoding_format": encoding})
        headers = {"content-type": "application/json"}
        async with session.post(f"{url}/v1/embeddings", data=body, headers=headers) as answered:
            assert answered.status == 200
            data = orjson.loads(await answered.read())["data"]
        rows = [item["embedding"] for item in data]
        if encoding == "base64":
            rows = [np.frombuffer(pybase64.b64decode(row, validate=True), "<f4") for row in rows]
        assert np.array(rows, np.float32).shape == (len(texts), 384)

    return ask


def over_http_of(peer: HttpPeer, session: aiohttp.ClientSession) -> Ask:
    """Asks another server."""
    return lambda texts: peer.ask(session, texts)


async def in_rounds(
    ways: dict[str, Ask], texts: list[str], size: int, callers: int, rounds: int
) -> dict[str, list[float]]:
    """Texts a second of each way in each round; the order of the ways turns from round to round."""
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for name in names:
        await closed_loop(ways[name], texts[:256], size, callers)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            speeds[name].append(await closed_loop(ways[name], texts, size, callers))
    return speeds


async def closed_loop(ask: Ask, texts: list[str], size: int, callers: int) -> float:
    """Texts a second."""
    requests = iter([texts[begin : begin + size] for begin in range(0, len(texts), size)])

    async def caller() -> None:
        for request in requests:
            await ask(request)

    begin_s = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return len(texts) / (time.perf_counter() - begin_s)


async def added(ways: dict[str, Ask], texts: list[str]) -> dict[str, object]:
    """What the gateway adds to the median of a single text, in milliseconds, where each is asked in turn of all."""
    took_ms: dict[str, list[float]] = {name: [] for name in ways}
    for text in texts[:SINGLES]:
        for name, ask in ways.items():
            begin_s = time.perf_counter()
            await ask([text])
            took_ms[name].append((time.perf_counter() - begin_s) * 1e3)
    medians = {name: statistics.median(each) for name, each in took_ms.items()}
    return {
        **{f"p50 of a single text, {name} ms": round(median, 3) for name, median in medians.items()},
        **{f"added by the gateway, {name} ms": round(medians[name] - medians["SDK"], 3) for name in ("base64", "JSON")},
    }


async def process_us(ask: Ask, texts: list[str], pid: int) -> float:
    """Processor time of the gateway's process for a request, in microseconds, by the kernel's count."""
    for _ in range(20):
        await ask(texts)
    before_us = scheduled_us(pid)
    for _ in range(CALLS):
        await ask(texts)
    return (scheduled_us(pid) - before_us) / CALLS


if __name__ == "__main__":
    main()
