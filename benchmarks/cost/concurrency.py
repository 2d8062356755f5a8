"""What `concurrency` costs and brings: requests that a client has in flight, compared in shuffled rounds. One run.

    python -m benchmarks.cost.concurrency [--values 4 8 16 32 64] [--rounds 7] [--repository FOLDER] [--json FILE]

Three loads from one client, with each value in turn: a list of texts, threads that ask about one text each, and tasks
that do so and share requests. Each is more than the client may have in flight. A process of its own asks about single
texts beside them, as another caller would. Prints the rate of each load and the latency of that caller, as ratios to
those with the default in the same round: medians of the rounds, and the least and the greatest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.exported import CHECKPOINT, MODEL
from benchmarks.machine import describe_machine
from benchmarks.served import served
from benchmarks.workloads import make_workload
from encserve import AsyncClient, Client
from encserve._conversation.settings import CONCURRENCY

CALLERS = 128
"""Threads that ask at the same time."""
SHARED = 8
"""Texts of a request of several."""
PAUSE_S = 0.03
"""Between two texts of the other caller."""
TIMEOUT_S = 600.0


def main() -> None:
    """Export, serve, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--values", type=int, nargs="+", default=[4, 8, 16, 32, 64])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--texts", type=int, default=600, help="of each load in each round")
    parser.add_argument("--repository", type=Path, help="with the pipeline minilm, in place of a fresh export")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--ask", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask:
        ask_for_ever(arguments.ask)
        return
    machine = describe_machine()
    with served(arguments.repository) as server:
        ratios = measure(server.grpc_url, arguments)
    print(machine)
    for name, by_value in ratios.items():
        for value, each in by_value.items():
            print(f"{name:<44}{value:>4}{np.median(each):8.2f} ({min(each):.2f} to {max(each):.2f})")
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "ratios": ratios}, indent=1) + "\n")


def measure(url: str, arguments: argparse.Namespace) -> dict[str, dict[int, list[float]]]:
    """Figure -> value -> its ratio to the default, of each round."""
    texts = make_workload("mixed", CHECKPOINT).texts[: arguments.texts]
    ratios: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with other_caller(url) as latencies:
        for load in LOADS.values():
            load(url, CONCURRENCY, texts)
        for _ in range(arguments.rounds):
            for name, load in LOADS.items():
                figures = {}
                values = [*{*arguments.values, CONCURRENCY}]
                for value in random.sample(values, len(values)):
                    begin_s = time.monotonic()
                    load(url, value, texts)
                    end_s = time.monotonic()
                    beside_s = [took_s for at_s, took_s in latencies if begin_s <= at_s <= end_s] or [np.nan]
                    figures[value] = (len(texts) / (end_s - begin_s), *np.percentile(beside_s, (50, 95)))
                for value in sorted(figures):
                    against = zip(figures[value], figures[CONCURRENCY], strict=True)
                    for what, (own, default) in zip(("rate", "others' p50", "others' p95"), against, strict=True):
                        ratios[f"{name}: {what}"][value].append(round(float(own / default), 3))
    return {name: dict(by_value) for name, by_value in ratios.items()}


def one_list(url: str, concurrency: int, texts: list[str]) -> None:
    """A call about a list, in requests of few texts, so that there are more than may be in flight."""
    with Client(url, concurrency=concurrency, texts_per_request=SHARED, timeout_s=TIMEOUT_S) as client:
        client.embed(texts, model=MODEL, priority="interactive")


def threads(url: str, concurrency: int, texts: list[str]) -> None:
    """As many threads as callers, each with one text at a time."""
    with Client(url, concurrency=concurrency, timeout_s=TIMEOUT_S) as client, ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(lambda text: client.embed([text], model=MODEL), texts))


def tasks(url: str, concurrency: int, texts: list[str]) -> None:
    """All texts at once, each in a task; they share requests."""

    async def ask() -> None:
        async with AsyncClient(url, concurrency=concurrency, texts_per_request=SHARED, timeout_s=TIMEOUT_S) as client:
            await asyncio.gather(*(client.embed([text], model=MODEL) for text in texts))

    asyncio.run(ask())


LOADS: dict[str, Callable[[str, int, list[str]], None]] = {
    "one list": one_list,
    f"{CALLERS} threads, one text each": threads,
    "tasks that share requests": tasks,
}


@contextmanager
def other_caller(url: str) -> Iterator[list[tuple[float, float]]]:
    """When each text of another caller was asked for, and the seconds that it took; the list grows meanwhile."""
    latencies: list[tuple[float, float]] = []
    command = [sys.executable, "-m", "benchmarks.cost.concurrency", "--ask", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = process.stdout
        assert lines is not None

        def read() -> None:
            for line in lines:
                latencies.append((float(line.split()[0]), float(line.split()[1])))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield latencies
        finally:
            process.terminate()
            reader.join()


def ask_for_ever(url: str) -> None:
    """Ask about one text at a time."""
    with Client(url, timeout_s=TIMEOUT_S) as client:
        while True:
            begin_s = time.monotonic()
            client.embed([f"another caller, {time.time_ns()}"], model=MODEL)
            print(begin_s, time.monotonic() - begin_s, flush=True)
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
