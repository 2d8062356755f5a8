"""Interactive requests alone and beside a saturating bulk load: their latency, and what bulk keeps. One run.

    python -m benchmarks.resilience.lanes [--requests 200] [--texts 1500] [--repository FOLDER] [--json FILE]

Measures three things in turn on one server: single interactive texts in an open loop without other load; bulk alone;
and both together. Prints the ratio of the interactive p95 (asked: at most 3) and the share that bulk keeps.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from itertools import cycle, takewhile
from pathlib import Path

import numpy as np

from benchmarks.exported import CHECKPOINT, MODEL
from benchmarks.served import served
from benchmarks.workloads import make_workload
from encserve import AsyncClient

PAUSE_S = 0.1
"""Between two interactive requests: about a tenth of the machine's time, so that bulk has something to keep."""


def main() -> None:
    """Export, serve, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=200, help="interactive ones, in each part")
    parser.add_argument("--texts", type=int, default=1_500, help="in bulk")
    parser.add_argument("--repository", type=Path, help="with the pipeline minilm, in place of a fresh export")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    with served(arguments.repository) as server:
        figures = asyncio.run(measure(server.grpc_url, arguments))
    for name, value in figures.items():
        print(f"{name:<42}{value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


async def measure(url: str, arguments: argparse.Namespace) -> dict[str, float]:
    """The figures, by name."""
    texts = make_workload("mixed", CHECKPOINT).texts[: arguments.texts]
    questions = texts[: arguments.requests]
    async with AsyncClient(url, timeout_s=600, concurrency=8) as bulk, AsyncClient(url, timeout_s=60) as interactive:
        await bulk.embed(texts[:300], model=MODEL, priority="bulk")
        alone_s = await ask(interactive, questions)
        begin_s = time.perf_counter()
        await bulk.embed(texts, model=MODEL, priority="bulk")
        bulk_alone = len(texts) / (time.perf_counter() - begin_s)

        done = asyncio.Event()
        load = asyncio.create_task(keep_busy(bulk, texts, done))
        await asyncio.sleep(2)
        beside_s = await ask(interactive, questions)
        done.set()
        bulk_beside = await load
    p95_alone, p95_beside = (float(np.percentile(each, 95)) * 1e3 for each in (alone_s, beside_s))
    return {
        "interactive alone ms, p50": round(float(np.median(alone_s)) * 1e3, 1),
        "interactive alone ms, p95": round(p95_alone, 1),
        "interactive beside bulk ms, p50": round(float(np.median(beside_s)) * 1e3, 1),
        "interactive beside bulk ms, p95": round(p95_beside, 1),
        "p95 beside bulk / alone": round(p95_beside / p95_alone, 2),
        "bulk alone texts/s": round(bulk_alone, 1),
        "bulk beside interactive texts/s": round(bulk_beside, 1),
        "bulk beside / alone": round(bulk_beside / bulk_alone, 2),
    }


async def ask(client: AsyncClient, texts: list[str]) -> list[float]:
    """Seconds of single texts that come at fixed times, whether or not those before were answered."""

    async def one(text: str, at_s: float) -> float:
        await asyncio.sleep(max(0.0, at_s - time.perf_counter()))
        await client.embed([text], model=MODEL, priority="interactive")
        return time.perf_counter() - at_s

    begin_s = time.perf_counter()
    return await asyncio.gather(*(one(text, begin_s + number * PAUSE_S) for number, text in enumerate(texts)))


async def keep_busy(client: AsyncClient, texts: list[str], done: asyncio.Event) -> float:
    """Send bulk without a pause until `done`. Returns the texts answered in a second."""
    answered, begin_s = 0, time.perf_counter()
    async for part in client.embed_iter(repeated(texts, done), model=MODEL, priority="bulk"):
        answered += len(part)
    return answered / (time.perf_counter() - begin_s)


def repeated(texts: list[str], done: asyncio.Event) -> Iterator[str]:
    """The texts, again and again until `done`."""
    return takewhile(lambda text: not done.is_set(), cycle(texts))


if __name__ == "__main__":
    main()
