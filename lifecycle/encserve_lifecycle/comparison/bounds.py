"""Figures with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

CONFIDENCE = 0.95
RESAMPLES = 1_000
_SEED = 0


@dataclass(frozen=True)
class Bounded:
    """A figure, the ends of its 95 % interval, and on how many cases it rests."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def share(hits: NDArray[np.bool_]) -> Bounded:
    """The share of cases (n,) that are true, with the bounds of Clopper and Pearson (1934)."""
    count, true = len(hits), int(hits.sum())
    interval = binomtest(true, count).proportion_ci(CONFIDENCE, method="exact")
    return Bounded(true / count, float(interval.low), float(interval.high), count)


def mean(values: NDArray[np.float64]) -> Bounded:
    """The mean of values (n,), with the interval of `resampled`."""
    return resampled(len(values), lambda rows: float(values[rows].mean()))


def resampled(count: int, statistic: Callable[[NDArray[np.int64]], float]) -> Bounded:
    """A statistic of `count` cases, which it is given by their indices, with the percentile bootstrap's interval (Efron
    and Tibshirani 1993), at a fixed seed."""
    draws = np.random.default_rng(_SEED)
    drawn = [statistic(draws.integers(count, size=count)) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Bounded(statistic(np.arange(count)), float(low), float(high), count)
