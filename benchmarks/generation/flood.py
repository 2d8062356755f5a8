"""A flood of texts to text: five times what the server makes, in an open loop, each text in a stream.

    python -m benchmarks.generation.flood [--seconds 30] [--factor 5] [--timeout 4] [--json FILE] [--tiny]

A T5 of the size of t5-small with random weights, texts of lengths as in `python -m benchmarks.generation`. First its
closed set with 32 in flight says what it makes; then texts come at `factor` times that rate, whatever becomes of them,
each with `timeout` seconds. It tells how long refusals took, how many of those that were let in had their whole text in
time, how long these waited for their first piece, whether a stream broke in any other way, and how long a text takes
when all is over. The flooder computes on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.generation.checkpoint import Request, requests, write_checkpoint
from benchmarks.generation.exported import name_in
from benchmarks.generation.systems import IN_FLIGHT, Served
from benchmarks.machine import describe_machine
from encserve import AsyncClient, EncserveError, Overloaded, Retry
from encserve._verbs.generate import GenerateOptions
from encserve_export.config import ExportConfig, Precision
from encserve_export.export import export
from encserve_server.config import ServeConfig
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.server import TritonServer

MODEL = name_in(Precision.FP32)
WHOLE = ("eos", "length")
"""How a text ends that is whole."""
_TIME_IS_UP = "its timeout passed"
"""What a server says, shortly before its caller goes, of a text that it had let in, with the status of a refusal."""


@dataclass
class Flood:
    """What became of the texts of a flood, in seconds from when each came."""

    refused_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    late: int = 0
    """Those that were let in, and whose time was up before they were whole."""
    broken: list[str] = field(default_factory=list)
    """Why others ended."""

    def figures(self, timeout_s: float) -> dict[str, Any]:
        """The figures, by name."""
        return {
            "refused": len(self.refused_s),
            "refusal, p50 / p99, ms": _ms(self.refused_s, 50, 99),
            "let in and whole": len(self.whole_s),
            "of these beyond their timeout": sum(each > timeout_s for each in self.whole_s),
            "let in and late": self.late,
            "first piece of those let in, p50 / p95 / longest, ms": _ms(self.first_s, 50, 95, 100),
            "whole, p50 / p95 / longest, ms": _ms(self.whole_s, 50, 95, 100),
            "broken": len(self.broken),
            "why": sorted(set(self.broken))[:5],
        }


def main() -> None:
    """Export, serve, saturate, flood, and look again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--factor", type=float, default=5)
    parser.add_argument("--timeout", type=float, default=4, help="of each text, in seconds")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--tiny", action="store_true", help="a small network, to try the run itself")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="encserve-flood-") as folder:
        checkpoint, models = write_checkpoint(Path(folder) / "checkpoint", tiny=arguments.tiny), Path(folder) / "models"
        export(ExportConfig(checkpoint=str(checkpoint), name=MODEL, repository=models))
        http_port, grpc_port, metrics_port = free_ports(3)
        config = ServeConfig(repository=models, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port)
        with TritonServer(config) as server:
            figures = measure(server, checkpoint, arguments)
    for name, value in figures.items():
        print(f"{name:<56}{value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(server: TritonServer, checkpoint: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures, by name."""
    asked = requests(checkpoint, 256, seed=2)
    closed = Served(server.grpc_url, server.pid, MODEL, in_flight=IN_FLIGHT, streamed=False, beams=1)
    try:
        closed.make(asked[:IN_FLIGHT])
        rate_per_s = len(asked) / closed.make(asked).seconds
    finally:
        closed.resume()  # also where it failed: a server that stands still could not be ended
    flood, after_s = asyncio.run(_flood(server.grpc_url, asked, arguments.factor * rate_per_s, arguments))
    return {
        **describe_machine(),
        "closed set, texts a second": round(rate_per_s, 1),
        "offered, texts a second": round(arguments.factor * rate_per_s, 1),
        **flood.figures(arguments.timeout),
        "a text when all is over, ms": round(after_s * 1e3, 1),
    }


async def _flood(
    url: str, asked: Sequence[Request], rate_per_s: float, arguments: argparse.Namespace
) -> tuple[Flood, float]:
    flood, waiting = Flood(), set[asyncio.Task[None]]()
    count = int(rate_per_s * arguments.seconds)
    async with AsyncClient(url, retry=Retry(attempts=1), concurrency=count + 1) as client:
        begun_s = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(max(begun_s + number / rate_per_s - time.perf_counter(), 0.0))
            waiting.add(asyncio.create_task(one(client, asked[number % len(asked)], arguments.timeout, flood)))
        await asyncio.gather(*waiting)
        begun_s = time.perf_counter()
        await client.generate([asked[0].text], model=MODEL, max_new_tokens=21, min_new_tokens=21)
        return flood, time.perf_counter() - begun_s


async def one(client: AsyncClient, request: Request, timeout_s: float, flood: Flood) -> None:
    """Ask for a text, and note what becomes of it."""
    begun_s, first_s = time.perf_counter(), 0.0
    new = request.new_tokens
    options: GenerateOptions = {"timeout_s": timeout_s, "min_new_tokens": new, "max_new_tokens": new}
    try:
        async with client.generate_stream(request.text, model=MODEL, **options) as stream:
            async for _ in stream:
                first_s = first_s or time.perf_counter() - begun_s
    except Overloaded as error:
        if _TIME_IS_UP in str(error):
            flood.late += 1
        else:
            flood.refused_s.append(time.perf_counter() - begun_s)
    except (EncserveError, TimeoutError) as error:
        if time.perf_counter() - begun_s >= timeout_s:
            flood.late += 1
        else:
            flood.broken.append(f"{type(error).__name__}: {error}"[:200])
    else:
        if stream.finish in WHOLE:
            flood.whole_s.append(time.perf_counter() - begun_s)
        else:
            flood.late += 1
    if first_s:
        flood.first_s.append(first_s)


def _ms(seconds: Sequence[float], *percents: float) -> str:
    return " / ".join(f"{each * 1e3:,.0f}" for each in np.percentile(seconds, percents)) if seconds else "none"


if __name__ == "__main__":
    main()
