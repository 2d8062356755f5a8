"""Whether two samples of vectors have the same mean, where of one the mean and the covariance are kept, and of the
other sums alone.

The distance of the means is taken in standard deviations of the baseline's texts, whatever the directions have in
common (Mahalanobis 1936), and by chance alone it is as large as the distribution of Hotelling's T-squared says (1931),
with the covariance of the baseline. Texts are never quite those of before, so the means may be apart by a margin; by
the triangle inequality the distance is then the margin and chance at most.

Texts of one request are often alike. So n texts in requests of k each count as n^2 / (sum of k^2) texts by themselves
(Kish 1965, for requests whose texts are all alike).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

MARGIN = 0.25
"""Standard deviations of the baseline's texts by which the mean of a window may be another."""
LEAST = 100
"""The least texts by themselves that a window says anything of."""
MONTH_S = 30 * 24 * 3600.0
_FLAT = 1e-9
"""Of the largest variance: directions in which the baseline's texts are less spread than this say nothing."""

Floats = NDArray[np.float64]


class State(Enum):
    """What a window says."""

    SAME = "the same"
    DRIFT = "drift"
    UNKNOWN = "too few"


@dataclass(frozen=True, kw_only=True)
class Window:
    """Sums over the vectors of a window of time."""

    texts: float
    squares: float
    """The sum over requests of the square of how many texts each has."""
    total: Floats
    """(K,)."""

    @property
    def alone(self) -> float:
        """As many texts by themselves say as much as these do in their requests."""
        return self.texts**2 / self.squares if self.squares else 0.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a window says."""

    state: State
    texts: int
    alone: float
    distance: float
    """Of the means, in standard deviations of the baseline's texts; NaN of no text."""
    allowed: float
    """The margin, and what chance explains; infinite where the window has too few texts."""


def false_alarms(window_s: float) -> float:
    """Return the chance of a false alarm that one window may have, so that windows one after the other give one a
    month."""
    return min(window_s / MONTH_S, 0.05)


def compare(window: Window, mean: Any, covariance: Any, texts: int, *, alpha: float) -> Finding:
    """Compare a window with a baseline of so many `texts`, with a chance of at most `alpha` of calling one "drift"
    whose mean is within the margin."""
    deviations, dimensions = _deviations(window, np.asarray(mean, np.float64), np.asarray(covariance, np.float64))
    distance = math.sqrt(float(deviations @ deviations)) if window.texts else math.nan
    allowed = math.inf
    state = State.UNKNOWN
    if window.alone >= LEAST and texts > dimensions + 1 and math.isfinite(distance):
        allowed = MARGIN + by_chance(window.alone, texts, dimensions, alpha)
        state = State.DRIFT if distance > allowed else State.SAME
    return Finding(state=state, texts=round(window.texts), alone=window.alone, distance=distance, allowed=allowed)


def by_chance(alone: float, texts: int, dimensions: int, alpha: float) -> float:
    """Return the distance that the means of `alone` and of `texts` texts of one kind exceed with a chance of `alpha`,
    where the covariance is that of the latter."""
    if not dimensions:
        return 0.0
    scale = dimensions * (texts - 1) / (texts - dimensions)
    quantile = float(f_distribution.isf(alpha, dimensions, texts - dimensions))
    return math.sqrt((1 / alone + 1 / texts) * scale * quantile)


def _deviations(window: Window, mean: Floats, covariance: Floats) -> tuple[Floats, int]:
    """Return the difference of the means along the axes of the covariance, in standard deviations, and how many axes
    there are."""
    variances, axes = np.linalg.eigh(covariance)
    kept = variances > _FLAT * max(float(variances[-1]), 0.0)
    difference = (window.total / window.texts if window.texts else mean) - mean
    return (difference @ axes[:, kept]) / np.sqrt(variances[kept]), int(kept.sum())
