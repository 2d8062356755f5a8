"""Cell by cell of a run: one system with one workload in one mode."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.modes import MODES
from benchmarks.peers.catalogue import SYSTEMS
from benchmarks.peers.measurement import Measurement
from benchmarks.peers.plan import IN_HAND, Cell, processes_of
from benchmarks.peers.results import Results
from benchmarks.peers.workers import Refused, Worker
from benchmarks.workloads import Workload

OPEN_LOOP = "open, 70 %"
"""A mode of its own: single texts at random times, at 70 % of the rate that encserve reached in mode 32x1."""
OPEN_SYSTEM = "encserve"
IN_HAND_TOKENS = 40_000
"""Of the texts that a system has in hand at once, at most: about those of 1,024 texts of the first workload."""


def numbers_in_time(
    rounds: int, *, begun_s: float, minutes: float | None, clock: Callable[[], float] = time.monotonic
) -> Iterator[int]:
    """1 and on, as many as there are rounds: but none for a round that, if it takes as long as the longest before it,
    would end more than so many minutes after `begun_s` by the clock, which counts seconds. The first begins always."""
    longest_s = 0.0
    for number in range(1, rounds + 1):
        now_s = clock()
        if minutes is not None and number > 1 and now_s + longest_s > begun_s + 60 * minutes:
            return
        yield number
        longest_s = max(longest_s, clock() - now_s)


@dataclass
class Rounds:
    """The rounds of one run."""

    arguments: argparse.Namespace
    """`seconds`, `share`, `systems` and `workloads`."""
    workers: dict[str, Worker]
    """By process; one that ends is taken out."""
    workloads: Mapping[str, Workload]
    paddings: Mapping[tuple[str, str], float]
    """(process, workload) -> padding, of encserve's own graphs."""
    results: Results

    def measure(self, cell: Cell, number: int, due_s: list[float] | None = None) -> None:
        """Measure once in round `number`, or note why that was not possible; with `due_s` in an open loop."""
        system, workload = SYSTEMS[cell.system], self.workloads[cell.workload]
        worker = self.workers.get(system.process)
        if worker is None or cell.system in self.results.refused:
            return
        mode = MODES["32x1" if due_s else cell.mode]
        texts = workload.texts
        if cell.mode == IN_HAND:
            texts = texts[: int(np.searchsorted(np.cumsum(workload.tokens), IN_HAND_TOKENS, side="right"))]
        requests = mode.requests(texts[: max(mode.streams, round(len(texts[: mode.texts]) * self.arguments.share))])
        seconds = self.arguments.seconds
        load = {"requests": requests, "streams": mode.streams, "cap_s": seconds, "due_s": due_s or []}
        try:
            answered = worker.run(load, system.variant, timeout_s=60 + 20 * seconds)
        except Refused as error:
            self.workers.pop(system.process).close()
            for name in set(self.arguments.systems).intersection(processes_of(SYSTEMS, system.process)):
                self.results.refused[name] = f"since {cell.system}, {cell.workload}, {cell.mode}: {error}"
            return
        if "failed" in answered.said:
            self.results.failed[f"{cell.system}, {cell.workload}, {cell.mode}"] = answered.said["failed"]
            return
        padding = None if cell.system == "bound, padded" else self.paddings.get((system.process, cell.workload))
        self.results.add(Measurement.of(cell, number, answered, workload.tokens, padding=padding))

    def measure_open_loop(self, number: int) -> None:
        """Latencies at 70 % of the rate that this round has reached, with arrivals of a Poisson process."""
        workload = self.arguments.workloads[0]
        closed = self.results.find(OPEN_SYSTEM, workload, "32x1")
        if not closed:
            return
        rng = np.random.default_rng(number)
        rate_per_s = 0.7 * closed[-1].texts_per_s
        due_s = np.cumsum(rng.exponential(1 / rate_per_s, MODES["32x1"].texts))
        due = due_s[due_s < max(2.0, 2 * self.arguments.seconds)].round(6).tolist()
        self.measure(Cell(OPEN_SYSTEM, workload, OPEN_LOOP), number, due)
