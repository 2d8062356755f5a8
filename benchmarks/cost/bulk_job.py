"""What `encserve bulk` makes of a server, and what it takes of memory.

    python -m benchmarks.cost.bulk_job rate [--texts 20000] [--rounds 5]
    python -m benchmarks.cost.bulk_job memory [--rows 1000000]

`rate`: texts a second of the command, from its first row to its last, beside those of one client that has all texts in
memory and keeps the same server saturated, in turn. The ratio is to be 0.95 or more. Figures of a busy machine are
worth nothing.

`memory`: the resident memory of a job over so many rows of 384 numbers, a tenth at a time, at a stand-in for the server
that answers at once. It is to be flat. Half of it stands on any machine.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.exported import MODEL
from benchmarks.machine import describe_machine
from benchmarks.peers.throughput import make_workload
from benchmarks.served import served
from encserve import Client
from encserve._messages import InferRequest
from encserve.testing import FakeTransport, fake_pipeline
from encserve_bulk.command import WINDOW_ROWS
from encserve_bulk.job import Job, run_job
from encserve_bulk.source import Columns, Source

DIMENSIONS, ROWS_AT_ONCE, STREAMS = 384, 10_000, 8


def main() -> None:
    """Measure one of the two."""
    parser = argparse.ArgumentParser(prog="benchmarks.cost.bulk_job", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["rate", "memory"])
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as work:
        if arguments.what == "rate":
            rate(Path(work), arguments.texts, arguments.rounds)
        else:
            memory(Path(work), arguments.rows)


def rate(work: Path, count: int, rounds: int) -> None:
    """Print both rates and their ratio."""
    texts = make_workload(count).texts
    source = work / "texts.parquet"
    pq.write_table(pa.table({"id": range(count), "text": texts}), source)
    ratios = []
    with served() as server, Client(server.grpc_url, timeout_s=600, concurrency=STREAMS) as client:
        client.embed(texts[:256], model=MODEL, priority="bulk")
        for number in range(rounds):
            began_s = time.perf_counter()
            client.embed(texts, model=MODEL, priority="bulk")
            saturated = count / (time.perf_counter() - began_s)
            of_job = command(source, work / f"out-{number}", server.grpc_url)
            ratios.append(of_job / saturated)
            print(f"saturated {saturated:,.0f} texts/s, encserve bulk {of_job:,.0f} texts/s: {ratios[-1]:.3f}")
    print(f"median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) of {rounds} rounds")


def command(source: Path, out: Path, url: str) -> float:
    """Rows a second, as the command tells them. Raises SystemExit: it failed."""
    words = ["bulk", "embed", str(source), str(out), "--model", MODEL, "--url", url]
    done = subprocess.run([sys.executable, "-m", "encserve", *words], capture_output=True, text=True, check=False)
    told = re.search(r"now, ([\d,]+) rows/s", done.stdout + done.stderr)
    if done.returncode or told is None:
        raise SystemExit(f"encserve bulk failed: {done.stderr[-2_000:]}")
    return float(told[1].replace(",", ""))


def memory(work: Path, rows: int) -> None:
    """Print the resident memory as the job goes on."""
    source = work / "texts.parquet"
    with pq.ParquetWriter(source, pa.schema([("id", pa.int64()), ("text", pa.string())])) as writer:
        for begin in range(0, rows, ROWS_AT_ONCE):
            ids = range(begin, min(rows, begin + ROWS_AT_ONCE))
            writer.write_table(pa.table({"id": pa.array(ids, pa.int64()), "text": [f"text {each}" for each in ids]}))
    pipeline = fake_pipeline(name=MODEL, dimensions=DIMENSIONS)
    job = Job(
        verb="embed",
        model=MODEL,
        source=Source(path=source, columns=Columns(id="id", text="text")),
        output=work / "out",
        options={},
        window_rows=WINDOW_ROWS,
    )
    done = threading.Event()
    watching = threading.Thread(target=watch, args=(job.output, rows, done))
    watching.start()
    try:
        with Client(transport=FakeTransport(at_once, pipelines=[pipeline])) as client:
            print(run_job(job, client, resume=False))
    finally:
        done.set()
        watching.join()
    print(f"at the end {resident_mib():,.0f} MiB")


def at_once(request: InferRequest) -> dict[str, Any]:
    """The answer of a server that computes nothing."""
    count = len(request.inputs["text"])
    return {
        "embedding": np.ones((1, count, DIMENSIONS), np.float32),
        "token_count": np.full((1, count), 3, np.int32),
        "dropped_count": np.zeros((1, count), np.int32),
        "window_count": np.ones((1, count), np.int32),
    }


def watch(output: Path, rows: int, done: threading.Event) -> None:
    """Print what is resident whenever a further tenth is written."""
    told = 0
    while not done.wait(0.2):
        written = WINDOW_ROWS * len(list(output.glob("part-*.parquet"))) if output.is_dir() else 0
        if written * 10 // rows > told:
            told = written * 10 // rows
            print(f"{written:>9,} rows {resident_mib():>6,.0f} MiB", flush=True)


def resident_mib() -> float:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
