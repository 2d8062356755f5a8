"""How long requests waited and were computed in a step that answers after its `execute` has returned.

Triton counts what happens before and inside `execute`. These counters have the names of Triton's, with another prefix,
and count what comes after: the two are to be added.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from .counters import Counter


class BatchTimes:
    """Sums over requests, in microseconds. Threads may add at the same time."""

    def __init__(self, args: Mapping[str, Any]) -> None:
        self._waited = Counter(
            args, "encserve_queue_duration_us", "Microseconds that requests waited inside the step, after its execute"
        )
        self._computed = Counter(
            args,
            "encserve_compute_infer_duration_us",
            "Microseconds that batches took inside the step, after its execute, once for each of their requests",
        )
        self._lock = threading.Lock()
        self._waited_us = self._computed_us = 0.0

    def add(self, waited_s: Sequence[float], took_s: float) -> None:
        """Count a batch: how long each of its requests had waited, and how long it took."""
        with self._lock:
            self._waited_us += 1e6 * sum(waited_s)
            self._computed_us += 1e6 * took_s * len(waited_s)

    def tell(self) -> None:
        """Bring the metrics up to date."""
        with self._lock:
            self._waited.reach(int(self._waited_us))
            self._computed.reach(int(self._computed_us))
