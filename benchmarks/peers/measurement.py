"""One system, one workload, one mode, one round: what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.peers.plan import IN_HAND, Cell
from benchmarks.peers.workers import Answered


@dataclass(frozen=True)
class Measurement:
    """The figures of one cell in one round."""

    system: str
    workload: str
    mode: str
    round: int
    texts: int
    texts_per_s: float
    tokens_per_s: float
    p50_ms: float | None
    """Latency of a request; None where all texts were in hand, so that there were no requests."""
    p95_ms: float | None
    p99_ms: float | None
    cpu_s_per_1000_texts: float
    """Of server and client."""
    client_cpu_s_per_1000_texts: float | None
    """Of the client; None in process."""
    peak_mib: float
    """Largest resident memory so far, of the server, or of the process where there is no server."""
    padding: float | None
    """Rows of padding that linear layers computed, for each real token; None where it cannot be seen."""

    @classmethod
    def of(
        cls, cell: Cell, number: int, answered: Answered, tokens: Sequence[int], *, padding: float | None
    ) -> Measurement:
        """From what a worker answered in round `number`; `tokens` are those of the texts that were sent."""
        answer, before, after = answered.said, answered.before, answered.after
        texts, wall_s = answer["texts"], answer["wall_s"]
        own_s = after.own_cpu_s - before.own_cpu_s
        children_s = after.children_cpu_s - before.children_cpu_s
        served = after.children_peak_bytes > 0
        # A system that sent the list again, or not all of it, saw texts of the same mean length.
        mean = float(np.mean(tokens[: min(texts, len(tokens))]))
        requests = [] if cell.mode == IN_HAND and not served else answer["latencies_s"]
        percentiles = np.percentile(requests, [50, 95, 99]) * 1e3 if requests else None
        p50, p95, p99 = (None, None, None) if percentiles is None else map(float, percentiles.round(3))
        return cls(
            system=cell.system,
            workload=cell.workload,
            mode=cell.mode,
            round=number,
            texts=texts,
            texts_per_s=round(texts / wall_s, 2),
            tokens_per_s=round(texts * mean / wall_s, 1),
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            cpu_s_per_1000_texts=round(1000 * (own_s + children_s) / texts, 3),
            client_cpu_s_per_1000_texts=round(1000 * own_s / texts, 3) if served else None,
            peak_mib=round((after.children_peak_bytes if served else after.own_peak_bytes) / 2**20, 1),
            padding=padding if answer["padding"] is None else round(answer["padding"], 4),
        )
