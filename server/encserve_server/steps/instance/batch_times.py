"""The times that requests wait and are computed in a step that answers after its `execute` has returned.

Triton counts what happens before and inside `execute`. These counters have the names of Triton's, with another prefix,
and count what comes after: the two are to be added.
"""

from __future__ import annotations

from collections.abc import Sequence

from .metrics import Metrics


class BatchTimes:
    """Sums over requests, in microseconds. Threads may add at the same time."""

    def __init__(self, metrics: Metrics) -> None:
        self._waited = metrics.counter(
            "encserve_queue_duration_us", "Microseconds that requests waited inside the step, after its execute"
        )
        self._computed = metrics.counter(
            "encserve_compute_infer_duration_us",
            "Microseconds that batches took inside the step, after its execute, once for each of their requests",
        )
        for counter in (self._waited, self._computed):
            counter.expect()

    def add(self, waited_s: Sequence[float], took_s: float) -> None:
        """Count a batch: the time that each of its requests waited, and the time that it took."""
        self._waited.add(1e6 * sum(waited_s))
        self._computed.add(1e6 * took_s * len(waited_s))
