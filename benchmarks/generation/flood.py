"""A flood of texts to text: five times what the server makes, in an open loop, each text in a stream.

    python -m benchmarks.generation.flood [--seconds 30] [--factor 5] [--timeout 4] [--json FILE] [--tiny]

A T5 of the size of t5-small with random weights, texts of lengths as in `python -m benchmarks.generation`. First its
closed set with 32 in flight says what it makes; then texts come at `factor` times that rate, whatever becomes of them,
each with `timeout` seconds. It tells how long refusals took, how many of those that were let in had their whole text in
time, how long these waited for their first piece, whether a stream broke in any other way, and how long a text takes
when all is over.

The flooder computes on the same cores, and while it reads what came for others, a refusal that has come waits. So a
process of its own asks for 20 texts a second beside it, which has little to do; and of a refusal it is told where it
took its time: how late each of both came to what was due, how long a request waited in Triton before the step read it,
and how long the step took from there until it had refused it.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.generation.checkpoint import requests, write_checkpoint
from benchmarks.generation.exported import name_in
from benchmarks.generation.open_loop import Asked, ask
from benchmarks.generation.systems import IN_FLIGHT, Served
from benchmarks.machine import describe_machine
from encserve import Client
from encserve_export.config import ExportConfig, Precision
from encserve_export.export import export
from encserve_server.config import ServeConfig
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.server import TritonServer

MODEL = name_in(Precision.FP32)
STEP = f"{MODEL}_generate"
APART_PER_S = 20.0
"""Texts a second that the other process asks for."""
TOLD_S = 1.5
"""After so many seconds a step has told what it counted, which it does once a second."""


def main() -> None:
    """Export, serve, saturate, flood, and look again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--factor", type=float, default=5)
    parser.add_argument("--timeout", type=float, default=4, help="of each text, in seconds")
    parser.add_argument("--json", type=Path, help="write the figures here, with each refusal")
    parser.add_argument("--tiny", action="store_true", help="a small network, to try the run itself")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="encserve-flood-") as folder:
        checkpoint, models = write_checkpoint(Path(folder) / "checkpoint", tiny=arguments.tiny), Path(folder) / "models"
        export(ExportConfig(checkpoint=str(checkpoint), name=MODEL, repository=models))
        http_port, grpc_port, metrics_port = free_ports(3)
        config = ServeConfig(repository=models, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port)
        with TritonServer(config) as server:
            figures, refusals = measure(server, checkpoint, arguments)
    for name, value in figures.items():
        print(f"{name:<76}{value}")
    if arguments.json:
        arguments.json.write_text(json.dumps({**figures, **refusals}, indent=2) + "\n", encoding="utf-8")


def measure(
    server: TritonServer, checkpoint: Path, arguments: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures, by name, and who was refused when, likewise."""
    asked = requests(checkpoint, 256, seed=2)
    closed = Served(server.grpc_url, server.pid, MODEL, in_flight=IN_FLIGHT, streamed=False, beams=1)
    try:
        closed.make(asked[:IN_FLIGHT])
        rate_per_s = len(asked) / closed.make(asked).seconds
    finally:
        closed.resume()  # also where it failed: a server that stands still could not be ended
    flooding = partial(ask, server.grpc_url, MODEL, asked, seconds=arguments.seconds, timeout_s=arguments.timeout)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(len, asked).result()  # until it has read all that it needs
        before = told(server.metrics_url)
        beside = pool.submit(flooding, rate_per_s=APART_PER_S)
        flood = flooding(rate_per_s=arguments.factor * rate_per_s)
        apart = beside.result()
    with Client(server.grpc_url) as client:
        begun_s = time.perf_counter()
        client.generate([asked[0].text], model=MODEL, max_new_tokens=21, min_new_tokens=21)
        after_s = time.perf_counter() - begun_s
    time.sleep(TOLD_S)
    figures = {
        **describe_machine(),
        "closed set, texts a second": round(rate_per_s, 1),
        "offered, texts a second": round(arguments.factor * rate_per_s, 1),
        **figures_of(flood, arguments.timeout),
        **{f"{name}, of the other process": value for name, value in figures_of(apart, arguments.timeout).items()},
        **since(before, told(server.metrics_url)),
        "a text when all is over, ms": round(after_s * 1e3, 1),
    }
    return figures, {"refusals, s": flood.refused, "refusals, s, of the other process": apart.refused}


def figures_of(asked: Asked, timeout_s: float) -> dict[str, Any]:
    """The figures of one process, by name."""
    return {
        "refused": len(asked.refused),
        "refusal, p50 / p99 / longest, ms": _ms(asked.refused_s, 50, 99, 100),
        "late to what was due, p50 / p99 / longest, ms": _ms(asked.lags_s, 50, 99, 100),
        "let in and whole": len(asked.whole_s),
        "of these beyond their timeout": sum(each > timeout_s for each in asked.whole_s),
        "let in and late": asked.late,
        "first piece of those let in, p50 / p95 / longest, ms": _ms(asked.first_s, 50, 95, 100),
        "whole, p50 / p95 / longest, ms": _ms(asked.whole_s, 50, 95, 100),
        "broken": len(asked.broken),
        "why": sorted(set(asked.broken))[:5],
    }


def told(metrics_url: str) -> dict[str, float]:
    """What Triton and the step have told of the step until now: metric -> its sum over all series."""
    with urllib.request.urlopen(metrics_url) as page:
        lines = page.read().decode().splitlines()
    sums = dict[str, float]()
    for line in lines:
        if found := re.fullmatch(rf'(\w+){{[^}}]*model="{re.escape(STEP)}"[^}}]*}} (\S+)', line):
            sums[found[1]] = sums.get(found[1], 0.0) + float(found[2])
    return sums


def since(before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    """Where requests waited between two moments, by what was told."""

    def mean_ms(seconds: str, count: str, unit_s: float) -> float | str:
        counted = after[count] - before[count]
        return round((after[seconds] - before[seconds]) * unit_s / counted * 1e3, 2) if counted else "none"

    refusal = "encserve_generate_refusal_seconds"
    return {
        "a request waited in Triton for the step to read it, mean, ms": mean_ms(
            "nv_inference_queue_duration_us", "nv_inference_request_success", 1e-6
        ),
        "the step read and refused a request, mean, ms": mean_ms(f"{refusal}_sum", f"{refusal}_count", 1.0),
    }


def _ms(seconds: Sequence[float], *percents: float) -> str:
    return " / ".join(f"{each * 1e3:,.0f}" for each in np.percentile(seconds, percents)) if seconds else "none"


if __name__ == "__main__":
    main()
