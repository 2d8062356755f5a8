"""How much of a run belongs to its warm-up: found in the runs, not assumed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encserve_loadtest.estimate.record import Record

BINS = 100
"""The latencies of a run are averaged over so many parts of it."""
BATCH = 5
MOST = 0.3
"""No more than this share of the runs is looked at for a warm-up: further in, the rule cuts at chance peaks."""


def warm_up_share(records: Sequence[Record], *, target_s: float) -> float:
    """The share of the runs to leave out, by MSER-5 on their average.

    MSER leaves out what makes the standard error of the rest smallest (White, "An effective truncation heuristic for
    bias reduction in simulation output", Simulation 69, 1997). On one run it would cut behind a chance peak, so it is
    applied to the average over the runs (Welch, 1983; Hoad, Robinson and Davies, "Automating warm-up length
    estimation", Journal of the Operational Research Society 61, 2010).

    Args:
        records: runs from an empty server.
        target_s: latencies above it count as equal to it, since the tail would decide by chance.
    """
    if not records:
        return 0.0
    runs = np.array([_binned(record, target_s) for record in records])  # (runs, bins)
    batches = runs.mean(axis=0).reshape(-1, BATCH).mean(axis=1)  # (batches,)
    tails = [batches[cut:] for cut in range(int(MOST * len(batches)) + 1)]
    errors = [np.sum((tail - tail.mean()) ** 2) / len(tail) ** 2 for tail in tails]
    return float(np.argmin(errors) / len(batches))


def _binned(record: Record, target_s: float) -> NDArray[np.float64]:
    """The mean latency in each part of the run over that of the run, (bins,); 1 where nothing came."""
    latency_s = np.minimum(record.latency_s, target_s)
    place = np.minimum((record.due_s / record.duration_s * BINS).astype(int), BINS - 1)
    kept = ~record.set_aside
    total = np.bincount(place[kept], latency_s[kept], BINS)
    number = np.bincount(place[kept], minlength=BINS)
    usual_s = total.sum() / max(1, number.sum())
    return np.divide(total, number * usual_s, out=np.ones(BINS), where=number * usual_s > 0)
