"""A histogram as Prometheus reads it, told as counters.

The Python backend has histograms of its own, in which each value is a message to Triton that waits for its answer.
Counters take as few messages a second however much is observed, and the same queries: `NAME_bucket` with the label `le`
counts the values up to that bound, `NAME_count` all of them, and `NAME_sum` is their sum.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import Labels, Metrics


class Histogram:
    """One histogram of a model's version, with series for each combination of labels. Threads may observe at the same
    time.

    Args:
        metrics: of the instance, which tell it.
        name: without the suffixes.
        description: of what is observed, with its unit.
        bounds: the upper bounds of the buckets, in ascending order; one without a bound comes last.
    """

    def __init__(self, metrics: Metrics, name: str, description: str, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._les = [*map(repr, map(float, bounds)), "+Inf"]
        self._observed: dict[Labels, list[int]] = {}
        """How many values fell into each bucket since it was last told, by labels."""
        self._observing = threading.Lock()
        metrics.add(self)  # before its counters, which it fills when it is told
        self._buckets = metrics.counter(f"{name}_bucket", f"{description}: how many, up to each bound")
        self._sum = metrics.counter(f"{name}_sum", f"{description}: their sum")
        self._count = metrics.counter(f"{name}_count", f"{description}: how many")

    def expect(self, **labels: str) -> None:
        """Show the series of these labels from the beginning."""
        self._add([0] * len(self._les), labels)
        self._sum.expect(**labels)

    def observe(self, value: float, **labels: str) -> None:
        """Count a value, 0 or more, in memory."""
        with self._observing:
            counts = self._observed.setdefault(tuple(labels.items()), [0] * len(self._les))
            counts[bisect_left(self._bounds, value)] += 1
        self._sum.add(value, **labels)

    def observe_all(self, values: NDArray[Any], **labels: str) -> None:
        """Count values (n,), 0 or more, in memory."""
        own = np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._les)).tolist()
        with self._observing:
            counts = self._observed.setdefault(tuple(labels.items()), [0] * len(self._les))
            for bucket, count in enumerate(own):
                counts[bucket] += count
        self._sum.add(float(values.sum(dtype=np.float64)), **labels)

    def tell(self) -> None:
        """Bring the counters up to date, in memory."""
        with self._observing:
            observed, self._observed = self._observed, {}
        for labels, counts in observed.items():
            self._add(counts, dict(labels))

    def _add(self, counts: Sequence[int], labels: Mapping[str, str]) -> None:
        """Count values by bucket. Series are told in the order in which they came, the largest bucket first, so that
        a reader in between sees none that holds less than a smaller one."""
        total = sum(counts)
        self._count.add(total, **labels)
        for le, own in zip(reversed(self._les), reversed(counts), strict=True):
            self._buckets.add(total, **labels, le=le)
            total -= own


def bounds_from(text: str, variable: str) -> tuple[float, ...]:
    """Return the upper bounds out of a text such as "0.1,0.5,2".

    Raises:
        ValueError: they are not positive numbers in ascending order; it names the `variable` of the environment that
            holds them.
    """
    try:
        bounds = tuple(map(float, text.split(",")))
    except ValueError:
        bounds = ()
    if not bounds or not all(low < high < math.inf for low, high in zip((0.0, *bounds), bounds, strict=False)):
        raise ValueError(f"{variable} is {text!r}, expected positive numbers in ascending order, such as 0.1,0.5,2")
    return bounds
