"""A flood against one server: 5 times what it can answer, and how it is afterwards. One run, one machine.

    python -m benchmarks.resilience.overload [--texts 1500] [--seconds 20] [--factor 5] [--repository FOLDER]
        [--json FILE]

The flood (`flood.py`) comes in an open loop, so it does not slow down when the server does. A refusal is timed twice:
by the flooder, whose event loop has hundreds of calls under way, and by a process that asks one question at a time
beside it (`refusal_probe.py`). Flooder and probe compute on the same cores as the server, so the processor time that
they took is told as well. Prints what docs/reliability.md reports.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path

import numpy as np

from benchmarks.exported import CHECKPOINT, MODEL
from benchmarks.resilience.flood import run_flood
from benchmarks.served import resident_mib, served
from benchmarks.workloads import make_workload
from encserve import AsyncClient
from encserve_server.launcher.server import TritonServer

TEXTS_PER_REQUEST = 16


def main() -> None:
    """Export, serve, saturate, flood, and look again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--texts", type=int, default=1_500)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--factor", type=float, default=5)
    parser.add_argument("--repository", type=Path, help="with the pipeline minilm, in place of a fresh export")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    with served(arguments.repository) as server:
        figures = asyncio.run(measure(server, arguments))
    for name, value in figures.items():
        print(f"{name:<42}{value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


async def measure(server: TritonServer, arguments: argparse.Namespace) -> dict[str, object]:
    """The figures, by name."""
    texts = make_workload("mixed", CHECKPOINT).texts[: arguments.texts]
    async with AsyncClient(
        server.grpc_url, timeout_s=120, concurrency=8, texts_per_request=TEXTS_PER_REQUEST
    ) as client:
        await client.embed(texts[:200], model=MODEL, priority="interactive")
        begin_s = time.perf_counter()
        await client.embed(texts, model=MODEL, priority="interactive")
        saturated = len(texts) / (time.perf_counter() - begin_s)
        alone_s = await latencies(client, texts, 50)
        before_mib = resident_mib(server)
        used_s = cpu_s()
        flood, during_mib = await asyncio.gather(
            run_flood(
                server.grpc_url,
                [texts[begin : begin + TEXTS_PER_REQUEST] for begin in range(0, len(texts), TEXTS_PER_REQUEST)],
                requests_per_s=saturated * arguments.factor / TEXTS_PER_REQUEST,
                seconds=arguments.seconds,
            ),
            memory_after(server, arguments.seconds),
        )
        used_s = cpu_s() - used_s
        ended_s = time.perf_counter()
        first_s = (await latencies(client, texts, 1))[0]
        recovered_s = None
        while recovered_s is None and time.perf_counter() - ended_s < 60:
            if np.median(await latencies(client, texts, 5)) <= 2 * np.median(alone_s):
                recovered_s = round(time.perf_counter() - ended_s, 2)
        refusals_ms = np.array(flood.refusals_s or [np.nan]) * 1e3
        probe_ms, probe_without_core_ms = (flood.probe[name] or [np.nan] for name in ("refusals_ms", "without_core_ms"))
        return {
            "saturated texts/s": round(saturated, 1),
            "offered / saturated": round(flood.offered * TEXTS_PER_REQUEST / flood.took_s / saturated, 2),
            "answered / saturated": round(flood.answered_texts / flood.took_s / saturated, 3),
            "of the cores, flooder and probe had": round(used_s / flood.took_s / len(os.sched_getaffinity(0)), 3),
            "requests offered": flood.offered,
            "requests refused": len(flood.refusals_s),
            "requests late": flood.late,
            "refusals of the probe": len(flood.probe["refusals_ms"]),
            "refusal of the probe ms, p50": round(float(np.percentile(probe_ms, 50)), 1),
            "refusal of the probe ms, p99": round(float(np.percentile(probe_ms, 99)), 1),
            "of it the probe had no core ms, p99": round(float(np.percentile(probe_without_core_ms, 99)), 1),
            "refusal of the flood ms, p50": round(float(np.percentile(refusals_ms, 50)), 1),
            "refusal of the flood ms, p99": round(float(np.percentile(refusals_ms, 99)), 1),
            "the flooder's event loop late ms, p99": round(float(np.percentile(flood.lags_s, 99)) * 1e3, 1),
            "latency alone ms, p50": round(float(np.median(alone_s)) * 1e3, 1),
            "first latency after the flood ms": round(first_s * 1e3, 1),
            "seconds until latency is normal": recovered_s,
            "resident MiB before": round(before_mib),
            "resident MiB at the end of the flood": round(during_mib),
            "resident MiB after": round(resident_mib(server)),
            "one refusal": sorted(flood.reasons)[:1],
        }


async def latencies(client: AsyncClient, texts: list[str], count: int) -> list[float]:
    """Seconds of single texts, one after the other."""
    seconds = []
    for text in texts[:count]:
        begin_s = time.perf_counter()
        await client.embed([text], model=MODEL)
        seconds.append(time.perf_counter() - begin_s)
    return seconds


async def memory_after(server: TritonServer, seconds: float) -> float:
    """MiB of the server after a while."""
    await asyncio.sleep(seconds)
    return resident_mib(server)


def cpu_s() -> float:
    """That this process and its children which have ended have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
