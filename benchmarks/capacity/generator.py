"""How many arrivals per second the load generator keeps to, on one core, against a transport that answers at once.

    taskset -c 0 python -m benchmarks.capacity.generator [--rates 1000 5000 10000] [--seconds 5] [--json FILE]

Two transports: a bare function, which is the generator alone, and the SDK with a fake transport, which is what a plan
costs per request before anything goes over a wire.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encserve import AsyncClient, InferRequest, Retry
from encserve.testing import AsyncFakeTransport
from encserve_loadtest.traffic.arrivals import poisson, schedule_s
from encserve_loadtest.traffic.generator import Send, open_loop
from encserve_loadtest.traffic.run import Run

RATES = (1_000, 2_000, 5_000, 10_000, 20_000)
ANSWER = {
    "embedding": np.ones((1, 1, 3), np.float32),
    "token_count": np.full((1, 1), 10, np.int32),
    "dropped_count": np.zeros((1, 1), np.int32),
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run."""

    transport: str
    asked_per_s: float
    scheduled_per_s: float
    lateness_p99_ms: float
    lateness_worst_ms: float
    cpu_us_per_request: float


def main() -> None:
    """Measure each transport at each rate, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=list(RATES))
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"{platform.processor() or platform.machine()}, {cores} core{'s' if cores > 1 else ''}")
    print(f"{'transport':<10} {'asked/s':>8} {'scheduled/s':>12} {'late p99':>10} {'worst':>10} {'cpu/request':>12}")
    results = asyncio.run(measure(arguments.rates, arguments.seconds))
    if arguments.json:
        found = {"cores": cores, "seconds": arguments.seconds, "runs": [asdict(each) for each in results]}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


async def measure(rates_per_s: Sequence[float], duration_s: float) -> list[Measured]:
    """The runs, one after another."""
    results = []
    async with AsyncClient(transport=AsyncFakeTransport(answer), retry=Retry(attempts=1)) as client:

        async def through_the_sdk(index: int) -> int:
            return int((await client.embed(["a text"], model="fake")).token_counts.sum())

        transports: dict[str, Send] = {"none": at_once, "SDK": through_the_sdk}
        for transport, send in transports.items():
            for rate_per_s in rates_per_s:
                due_s = schedule_s(poisson, rate_per_s=rate_per_s, duration_s=duration_s, rng=np.random.default_rng(0))
                run = await open_loop(send, due_s, duration_s=duration_s, grace_s=1)
                results.append(report(transport, rate_per_s, run))
    return results


async def at_once(index: int) -> int:
    """The null transport."""
    return 10


async def answer(request: InferRequest) -> Mapping[str, NDArray[np.generic]]:
    """The fake server behind the SDK."""
    return ANSWER


def report(transport: str, rate_per_s: float, run: Run) -> Measured:
    """Print a run."""
    requests = len(run.scheduled_s)
    measured = Measured(
        transport=transport,
        asked_per_s=rate_per_s,
        scheduled_per_s=requests / max(run.duration_s, float(run.sent_s.max())),
        lateness_p99_ms=1e3 * float(np.percentile(run.lateness_s, 99)),
        lateness_worst_ms=1e3 * float(run.lateness_s.max()),
        cpu_us_per_request=1e6 * run.client_cpu_s / requests,
    )
    print(
        f"{transport:<10} {rate_per_s:>8,.0f} {measured.scheduled_per_s:>12,.0f} {measured.lateness_p99_ms:>7.2f} ms "
        f"{measured.lateness_worst_ms:>7.1f} ms {measured.cpu_us_per_request:>9.0f} us",
        flush=True,
    )
    return measured


if __name__ == "__main__":
    main()
