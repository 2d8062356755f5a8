"""How long texts that come at random times take on a machine that loses nothing: no client, no server, no copies.

    python -m benchmarks.capacity.ideal_queue [--processors 2]

Simulates a queue in front of processors, each of which takes a text at a time, in the order in which they came, for as
long as the encoder alone needs for it (`micro_batches.Cost` of MiniLM in FP32). Prints the 99th percentile of the time
from arrival to answer over the median time of a text by itself, for several loads: what a real server can be held to.
"""

from __future__ import annotations

import argparse
import heapq

import numpy as np
from numpy.typing import NDArray

from benchmarks.cost.micro_batch_cost import WIDTH
from benchmarks.exported import CHECKPOINT
from benchmarks.workloads import make_workload
from encserve_export.config import Precision
from encserve_export.engines.python_backend.python_onnxruntime import ONNXRUNTIME

LOADS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9)
"""Shares of the rate at which the processors are always busy."""
ARRIVALS = 400_000
"""So many that another seed moves the percentile by a few hundredths."""


def main() -> None:
    """Take the texts of the workload mixed, simulate, print."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.capacity.ideal_queue", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--processors", type=int, default=2)
    processors = parser.parse_args().processors
    needed = alone(np.array(make_workload("mixed", CHECKPOINT).tokens, float))
    median = np.median(needed)
    print(f"without any queue: p99 is {np.percentile(needed, 99) / median:.1f} times the median")
    for load in LOADS:
        taken = sojourns(needed, load=load, processors=processors, arrivals=ARRIVALS, rng=np.random.default_rng(0))
        print(f"at {load:.0%}: p99 is {np.percentile(taken, 99) / median:.1f} times the median of a text by itself")


def alone(tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each text (n,) needs by itself on one processor, in linear layers of a token: (n,)."""
    cost = ONNXRUNTIME.precisions[Precision.FP32].micro_batch_cost(WIDTH)
    return cost.overhead + tokens + cost.pair * tokens**2


def sojourns(
    needed: NDArray[np.float64], *, load: float, processors: int, arrivals: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Time from arrival to answer of each of `arrivals` texts drawn from `needed`, which come at random times."""
    service = rng.choice(needed, arrivals)
    arrived = np.cumsum(rng.exponential(service.mean() / processors / load, arrivals))
    free_at = [0.0] * processors
    taken = np.empty(arrivals)
    for index, (at, needs) in enumerate(zip(arrived.tolist(), service.tolist(), strict=True)):
        end = max(heapq.heappop(free_at), at) + needs
        heapq.heappush(free_at, end)
        taken[index] = end - at
    return taken


if __name__ == "__main__":
    main()
