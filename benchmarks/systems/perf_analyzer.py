"""Triton's own load generator, out of the wheel of tritonclient 2.51.0, as a client of a Triton model of texts."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib.metadata import files
from pathlib import Path

from benchmarks.closed_loop import Done, Load
from benchmarks.places import CACHE
from encserve import ADMIN_KEY

ADMIN_METADATA = f"triton-grpc-protocol-{ADMIN_KEY}"
_WHEEL = "tritonclient==2.51.0"
_MEMBER = "tritonclient-2.51.0.data/data/bin/perf_analyzer"
_LIBRARIES = ("libb64.so.0d", "libcudart.so.12")
"""Linked from the nvidia-pytriton wheel, under the names that perf_analyzer looks for."""


def perf_analyzer(load: Load, *, url: str, model: str, secret: str, batched: bool = False) -> Done:
    """Send the load with perf_analyzer. Its latencies come as percentiles, of which three stand for all requests.

    It reads the server's statistics, for which it needs the operator's `secret`. `batched` says that the model takes a
    text as one item of a batch, and not all texts as one item.

    Raises:
        RuntimeError: it failed; the message has the end of what it said.
    """
    program = installed()
    size = len(load.requests[0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        requests = [[text] for texts in load.requests for text in texts] if batched else load.requests
        shape = [1 if batched else size]
        data = [{"text": {"content": each, "shape": shape}} for each in requests if len(each) == shape[0]]
        (folder / "texts.json").write_text(json.dumps({"data": data}))
        begin = time.perf_counter()
        command: list[str | Path] = [
            *(program, "-m", model, "-i", "grpc", "-u", url, "--input-data", folder / "texts.json"),
            # Three windows of a third of the requests each, stable or not: the rounds say how stable it is.
            *("--concurrency-range", str(load.streams), "--percentile=50", "-s", "999", "--max-trials", "10"),
            *(
                "--measurement-mode",
                "count_windows",
                "--measurement-request-count",
                str(max(1, len(load.requests) // 3)),
            ),
            *("-f", folder / "figures.csv"),
            *("-H", f"{ADMIN_METADATA}:{secret}", "--verbose-csv", "--async", "-b", str(size if batched else 1)),
        ]
        environment = {**os.environ, "LD_LIBRARY_PATH": str(program.parent)}
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
        if ended.returncode:
            raise RuntimeError(f"perf_analyzer ended with {ended.returncode}: {(ended.stdout + ended.stderr)[-600:]}")
        row = next(csv.DictReader((folder / "figures.csv").open()))
    texts_per_s = float(row["Inferences/Second"]) * (1 if batched else size)
    texts = max(1, round(texts_per_s * (time.perf_counter() - begin)))  # it does not say how many it sent
    done = Done(texts=texts, wall_s=texts / texts_per_s)
    # As many of each percentile that the percentiles of the list are those of the run.
    for share, column in ((0.90, "p50 latency"), (0.07, "p95 latency"), (0.03, "p99 latency")):
        done.latencies_s += [float(row[column]) / 1e6] * max(1, round(share * 1000))
    return done


def installed() -> Path:
    """The program, fetched and unpacked on first use."""
    folder = CACHE / "perf_analyzer"
    program = folder / "perf_analyzer"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fetch: list[str | Path] = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder, _WHEEL]
        subprocess.run([sys.executable, "-m", "pip", *fetch], check=True)
        with zipfile.ZipFile(next(folder.glob("tritonclient-*.whl"))) as wheel:
            program.write_bytes(wheel.read(_MEMBER))
        program.chmod(0o755)
        for library in _LIBRARIES:
            stem = library.split(".", 1)[0]
            found = next(file for file in files("nvidia-pytriton") or () if file.name.startswith(f"{stem}-"))
            link = folder / library
            link.unlink(missing_ok=True)
            link.symlink_to(Path(found.locate()).resolve())
    return program
