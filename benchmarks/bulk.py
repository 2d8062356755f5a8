"""A file of texts to a folder of vectors, by everything that is at hand: one run, the same weights, texts and cores.

    build/ray/bin/python -m benchmarks.bulk [--texts 50000] [--rounds 3] [--workers 1] [--systems ...] [--json FILE]

Each system does the whole job, from Parquet to Parquet: what it starts for it, such as the workers of Ray and the
networks that they load, counts; the server and Ray itself run before. What is not installed stands in the results with
the reason: `make ray` makes the Python above, with Ray, and `benchmarks/environments/make.sh infinity`
the environment of infinity. What counts are the ratios to `encserve bulk`, round by round. Figures of a busy machine
are worth nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.exported import CHECKPOINT, MODEL, pipeline
from benchmarks.machine import describe_machine
from benchmarks.peers.throughput import make_workload, ratio
from benchmarks.places import REPOSITORY_ROOT, installed_versions, interpreter
from benchmarks.served import served
from encserve.local import Encoder

BASE, INFINITY = "encserve bulk", "infinity offline"
BATCH_ROWS = 4_096
FILES = 16
NEAR = 1e-4
"""The largest difference between the vectors of two systems: each is right by itself."""
Job = Callable[[Path], None]
"""Reads the texts, and writes vectors into the folder that it is given."""


class SentenceTransformersPredictor:
    """What users of Ray write first."""

    def __init__(self, checkpoint: str, threads: int) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        self._model = SentenceTransformer(checkpoint, device="cpu")

    def __call__(self, table: pa.Table) -> pa.Table:
        vectors = self._model.encode(table.column("text").to_pylist(), batch_size=32, show_progress_bar=False)
        return table.append_column("vector", pa.array(list(vectors), pa.list_(pa.float32())))


def main() -> None:
    """Write the texts, serve, let each system do the job in turn, report."""
    arguments = parse_arguments()
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        rows = write_texts(work / "texts", arguments.texts)
        repository = pipeline(work)
        with served(repository) as server:
            jobs, missing = jobs_of(arguments, work / "texts", repository, server.grpc_url)
            rounds = measure(jobs, arguments.rounds, work / "out")
        report(arguments, machine, rows, rounds, missing)


def parse_arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="benchmarks.bulk", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--texts", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="of Ray that compute; the cores are shared among them")
    parser.add_argument("--systems", default="", help="only those whose names hold this")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def write_texts(folder: Path, count: int) -> dict[str, int]:
    """Write the texts, in `FILES` files and in one. Returns what they are."""
    folder.mkdir()
    workload = make_workload(count)
    table = pa.table({"id": range(count), "text": workload.texts})
    for number in range(FILES):
        begin, end = number * count // FILES, (number + 1) * count // FILES
        pq.write_table(table.slice(begin, end - begin), folder / f"{number:02}.parquet")
    pq.write_table(table, folder.with_suffix(".parquet"))
    return {"texts": count, "tokens": workload.tokens, "longest": workload.longest}


def jobs_of(
    arguments: argparse.Namespace, source: Path, repository: Path, url: str
) -> tuple[dict[str, Job], dict[str, str]]:
    """The systems by name, and why others are missing."""
    jobs: dict[str, Job] = {
        BASE: lambda out: bulk(source.with_suffix(".parquet"), out, url),
        "encserve.local in one process": lambda out: in_process(source.with_suffix(".parquet"), out, repository),
    }
    missing = {}
    in_ray = {
        "Ray, encserve through a server": ("server", {"model": MODEL, "url": url}),
        "Ray, encserve in each worker": ("local", {"model": MODEL, "repository": str(repository)}),
        "Ray, sentence-transformers in each worker": ("reference", {"checkpoint": str(CHECKPOINT)}),
    }
    if not is_installed("ray"):
        missing = dict.fromkeys(in_ray, "this Python has no ray: make ray makes one that has")
    else:
        start_ray()
        for name, (kind, settings) in in_ray.items():
            jobs[name] = lambda out, kind=kind, settings=settings: ray_job(  # type: ignore[misc]
                kind, settings, source, out, arguments.workers
            )
    try:
        python = interpreter("infinity")
        jobs[INFINITY] = lambda out: infinity(python, source.with_suffix(".parquet"), out)
    except SystemExit as error:
        missing[INFINITY] = str(error)
    wanted = arguments.systems.lower()
    return {name: job for name, job in jobs.items() if name == BASE or wanted in name.lower()}, missing


def bulk(source: Path, out: Path, url: str) -> None:
    """The command, as its users run it."""
    command = [sys.executable, "-m", "encserve", "bulk", "embed", str(source), str(out), "--model", MODEL, "--url", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"encserve bulk failed: {done.stderr}")


def in_process(source: Path, out: Path, repository: Path) -> None:
    """No server and no Ray."""
    table = pq.read_table(source)
    with Encoder(repository, MODEL) as encoder:
        vectors = encoder.embed(table.column("text").to_pylist()).vectors
    out.mkdir(parents=True)
    column = pa.array(list(vectors), pa.list_(pa.float32()))
    pq.write_table(table.append_column("vector", column), out / "part.parquet")


def infinity(python: Path, source: Path, out: Path) -> None:
    """Its engine in a process of its own, without its server."""
    out.mkdir(parents=True)
    command = [python, "-m", "benchmarks.systems.in_process.infinity_offline", CHECKPOINT, source, out / "part.parquet"]
    settings = {"DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0", "HF_HUB_OFFLINE": "1"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=REPOSITORY_ROOT,
        env=inherited | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{INFINITY} failed: {done.stderr[-2_000:]}")


def is_installed(name: str) -> bool:
    """Whether there is the distribution: a folder `ray`, such as its logs, can be imported as well."""
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def start_ray() -> None:
    """Begin before anything is measured."""
    import ray

    ray.init(include_dashboard=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False


def ray_job(kind: str, settings: dict[str, Any], source: Path, out: Path, workers: int) -> None:
    """Read, map and write in Ray Data."""
    import ray

    from encserve.ray import LocalPredictor, ServerPredictor

    cores = max(1, int(ray.cluster_resources()["CPU"]) // workers)
    # A worker that has all cores would leave none to read and to write.
    promised = {"server": 0.0, "local": cores / 2, "reference": cores / 2}[kind]
    settings = settings | {"server": {}, "local": {"cores": cores}, "reference": {"threads": cores}}[kind]
    predictor = {"server": ServerPredictor, "local": LocalPredictor, "reference": SentenceTransformersPredictor}[kind]
    ray.data.read_parquet(str(source), override_num_blocks=FILES).map_batches(
        predictor,
        fn_constructor_kwargs=settings,
        batch_format="pyarrow",
        batch_size=BATCH_ROWS,
        num_cpus=promised,
        compute=ray.data.ActorPoolStrategy(size=workers),
    ).write_parquet(str(out))


def measure(jobs: dict[str, Job], rounds: int, folder: Path) -> dict[str, list[float]]:
    """Seconds of each system in each round, the systems in turn. Their vectors must be the same."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    expected = None
    for number in range(rounds):
        for place, (name, job) in enumerate(jobs.items()):
            print(f"\rround {number + 1} of {rounds}: {name:<50}", end="", file=sys.stderr, flush=True)
            out = folder / f"{number}-{place}"
            begin = time.perf_counter()
            job(out)
            seconds[name].append(time.perf_counter() - begin)
            vectors = vectors_in(out)
            expected = vectors if expected is None else expected
            if vectors.shape != expected.shape or not np.abs(vectors - expected).max() < NEAR:
                raise SystemExit(f"{name} gave other vectors than {BASE}")
    print(file=sys.stderr)
    return seconds


def vectors_in(out: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The vectors of a job, (n, d), by id."""
    tables = [pq.read_table(file, columns=["id", "vector"]) for file in sorted(out.glob("*.parquet"))]
    table = pa.concat_tables(tables).sort_by("id")
    return np.array(table.column("vector").to_pylist(), np.float32)


def report(
    arguments: argparse.Namespace,
    machine: dict[str, Any],
    rows: dict[str, int],
    rounds: dict[str, list[float]],
    missing: dict[str, str],
) -> None:
    """Print medians and ratios; write them if asked."""
    systems: dict[str, Any] = {}
    for name, seconds in rounds.items():
        per_s = rows["texts"] / statistics.median(seconds)
        systems[name] = {"texts_per_s": round(per_s, 1), "ratio": ratio(rounds[BASE], seconds)}
        own = systems[name]["ratio"]
        print(f"{name:<45}{per_s:>9,.0f} texts/s   {own['median']:.2f} ({own['min']:.2f} to {own['max']:.2f})")
    for name, reason in missing.items():
        print(f"{name:<45}{reason}")
    if arguments.json:
        tools = ("encserve", "onnxruntime", "pyarrow", "ray", "sentence-transformers", "torch")
        figures = {
            "command": "python -m benchmarks.bulk " + " ".join(sys.argv[1:]),
            "workload": rows,
            "machine": machine,
            "tools": {name: version(name) for name in tools if is_installed(name)},
            "tools_of_infinity": installed_versions("infinity", "infinity-emb", "torch") if INFINITY in rounds else {},
            "systems": systems,
            "missing": missing,
        }
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
