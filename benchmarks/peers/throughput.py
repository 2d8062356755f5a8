"""encserve end to end beside sentence-transformers in process: same weights, same texts, same cores, one run.

    python -m benchmarks.peers.throughput [--rounds 3] [--texts 1500] [--json FILE]

sentence-transformers encodes one request after the other, as an application that calls it does: requests of 1 text, of
32 texts, and, as its best case, one call for all texts, which it then sorts by length. Prints texts/s and tokens/s, and
what counts on a noisy machine: the ratios to these, round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.exported import CHECKPOINT, MODEL
from benchmarks.served import resident_mib, served
from encserve import AsyncClient

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

REFERENCE = "sentence-transformers in process"
SERVED = "encserve"
BEST_CASE = f"{REFERENCE}, one call for all texts"
WORDS = (
    "the of and to in a is that for it was on with as by at from server batch latency queue model text token vector "
    "request answer machine weather mountain harbour evening contract invoice patient protein river station planet "
    "music paint window kitchen garden letter teacher student question reason measure network memory budget"
)


@dataclass(frozen=True)
class Workload:
    """Texts of lognormal length, as queries and passages mixed have."""

    texts: list[str]
    tokens: int
    longest: int


def main() -> None:
    """Export, serve, measure in rounds, report."""
    arguments = parse_arguments()
    workload = make_workload(arguments.texts)
    print(
        f"{len(workload.texts)} texts, {workload.tokens / len(workload.texts):.1f} tokens on average, "
        f"{workload.longest} at most",
        file=sys.stderr,
    )
    with served() as server:
        model = load_reference()
        systems = {
            BEST_CASE: in_process(model.encode, workload, size=len(workload.texts)),
            f"{REFERENCE}, 1 text a call": in_process(model.encode, workload, size=1),
            f"{SERVED}, 32 concurrent requests of 1 text": end_to_end(server.grpc_url, workload, streams=32, size=1),
            f"{REFERENCE}, 32 texts a call": in_process(model.encode, workload, size=32),
            f"{SERVED}, 4 concurrent requests of 32 texts": end_to_end(server.grpc_url, workload, streams=4, size=32),
        }
        rounds = measure(systems, arguments.rounds)
        memory_mib = resident_mib(server)
    report(workload, rounds, memory_mib, arguments.json)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=1_500)
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def make_workload(count: int) -> Workload:
    """Lognormal lengths with a mean of about 35 tokens; seeded."""
    from tokenizers import Tokenizer

    rng = np.random.default_rng(0)
    lengths = rng.lognormal(mean=3.15, sigma=0.8, size=count).clip(1, 250).astype(int)
    texts = [" ".join(rng.choice(WORDS.split(), length)) for length in lengths]
    tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    counts = [len(encoding) for encoding in tokenizer.encode_batch(texts)]
    return Workload(texts=texts, tokens=sum(counts), longest=max(counts))


def load_reference() -> SentenceTransformer:
    """The reference library with the same weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(CHECKPOINT), device="cpu")


def in_process(encode: Callable[..., object], workload: Workload, *, size: int) -> Callable[[], None]:
    """Requests of `size` texts, one after the other: `encode` of the library sorts each by length, cuts it into batches
    of 32 and pads these to the longest text of the batch."""

    def run() -> None:
        for begin in range(0, len(workload.texts), size):
            encode(workload.texts[begin : begin + size], batch_size=32, show_progress_bar=False)

    return run


async def embed(client: AsyncClient, texts: list[str]) -> object:
    """What a caller asks."""
    return await client.embed(texts, model=MODEL)


def end_to_end(
    url: str,
    workload: Workload,
    *,
    streams: int,
    size: int,
    ask: Callable[[AsyncClient, list[str]], Awaitable[object]] = embed,
) -> Callable[[], None]:
    """`streams` callers, each sending its next request of `size` texts when the last was answered."""

    async def call() -> None:
        requests = iter([workload.texts[begin : begin + size] for begin in range(0, len(workload.texts), size)])

        async def stream(client: AsyncClient) -> None:
            for texts in requests:
                await ask(client, texts)

        async with AsyncClient(url) as client:
            await asyncio.gather(*(stream(client) for _ in range(streams)))

    return lambda: asyncio.run(call())


def measure(systems: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each system in each round, the systems in turn; one round before is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for number, (name, run) in itertools.product(range(rounds + 1), systems.items()):
        print(f"\rround {number} of {rounds}: {name:<60}", end="", file=sys.stderr, flush=True)
        begin = time.perf_counter()
        run()
        if number:
            seconds[name].append(time.perf_counter() - begin)
    print(file=sys.stderr)
    return seconds


def report(workload: Workload, rounds: dict[str, list[float]], memory_mib: float, file: Path | None) -> None:
    """Print the medians and the ratios; write them if asked."""
    count = len(workload.texts)
    rows: dict[str, dict[str, Any]] = {}
    same_requests = rounds[BEST_CASE]
    for name, seconds in rounds.items():
        median = statistics.median(seconds)
        rows[name] = {"texts_per_s": round(count / median, 1), "tokens_per_s": round(workload.tokens / median)}
        if name.startswith(SERVED):  # each stands right behind the reference with requests of the same size
            rows[name]["ratio_to_same_requests"] = ratio(same_requests, seconds)
            rows[name]["ratio_to_one_call_for_all"] = ratio(rounds[BEST_CASE], seconds)
        same_requests = seconds
    print(f"{'':<58}{'texts/s':>9}{'tokens/s':>10}   ratio to the same requests, to one call for all")
    for name, row in rows.items():
        ratios = [f"{r['median']:.2f} ({r['min']:.2f} to {r['max']:.2f})" for key, r in row.items() if "ratio" in key]
        print(f"{name:<58}{row['texts_per_s']:>9,.0f}{row['tokens_per_s']:>10,}   {', '.join(ratios)}".rstrip())
    print(f"server memory after the load: {memory_mib:,.0f} MiB resident")
    if file:
        machine = {"cpu": cpu_name(), "cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}
        tools = {name: version(name) for name in ("encserve", "onnxruntime", "sentence-transformers", "torch")}
        figures = {
            "command": "python -m " + " ".join(["benchmarks.peers.throughput", *sys.argv[1:]]),
            "workload": {"texts": count, "tokens": workload.tokens, "longest": workload.longest},
            "machine": machine,
            "tools": tools,
            "server_resident_mib": round(memory_mib),
            "systems": rows,
        }
        file.write_text(json.dumps(figures, indent=2) + "\n")


def ratio(base: list[float], own: list[float]) -> dict[str, float]:
    """How many times as fast, round by round."""
    ratios = [theirs / ours for theirs, ours in zip(base, own, strict=True)]
    spread = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
    return {name: round(value, 2) for name, value in spread.items()}


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
