"""Evidence that one share is above another, which may be looked at as often as one likes.

A test of 5 % that is looked at every two seconds is wrong sooner or later, and a good version would be rolled back.
Here the likelihood of both counts, mixed over all shares (Robbins 1970, "Statistical methods related to the law of the
iterated logarithm"), is divided by the largest that it has while the claim does not hold (Wasserman, Ramdas and
Balakrishnan 2020, "Universal inference"). While the claim does not hold, that is ever above 1 / alpha with a chance of
at most alpha, by Ville's inequality (1939), in whatever order both sides are counted, and whenever one stops.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_PRIOR = 0.5
"""Of the beta distribution that shares are mixed by: Jeffreys', which sees shares near 0 and 1 as soon as others."""
_STEPS = 40
"""Of a search: what is left of the interval is beyond what a share is known to."""


@dataclass(frozen=True)
class Count:
    """How many of some requests, texts or vectors are of a kind."""

    hits: float
    of: float

    @property
    def share(self) -> float:
        """The share of them; NaN of none."""
        return self.hits / self.of if self.of else math.nan

    @property
    def others(self) -> Count:
        """Those that are not of the kind."""
        return Count(self.of - self.hits, self.of)


NOTHING = Count(0, 0)


@dataclass(frozen=True)
class Band:
    """The share that was counted, and the ends of its confidence sequence."""

    low: float
    share: float
    high: float


def evidence_above(candidate: Count, before: Count, by: float) -> float:
    """Return the logarithm of the evidence that the share of `candidate` is above that of `before` by more than `by`,
    from -1 to 1; with a chance of at most alpha it is ever above log(1 / alpha) where that is not so. 0 where what was
    counted does not say so."""
    if not (candidate.of and before.of) or candidate.share - before.share <= by:
        return 0.0

    def likelihood(share: float) -> float:
        return _log_likelihood(before, share) + _log_likelihood(candidate, share + by)

    # It grows up to one of the shares that were counted, and falls from the other on.
    low, high = max(before.share, -by), min(candidate.share - by, 1.0)
    return _log_mixed(before) + _log_mixed(candidate) - _largest(likelihood, low, high)


def band(count: Count, alpha: float) -> Band:
    """Return the shares against which there is no evidence; the chance that they ever miss the true one is at most
    `alpha` (Howard, Ramdas, McAuliffe and Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic confidence
    sequences").

    From 0 to 1 before there is anything.
    """
    if not count.of:
        return Band(0.0, math.nan, 1.0)
    least = _log_mixed(count) + math.log(alpha)

    def end(outer: float) -> float:
        inner = count.share
        if _log_likelihood(count, outer) > least:
            return outer
        for _ in range(_STEPS):
            middle = (outer + inner) / 2
            outer, inner = (outer, middle) if _log_likelihood(count, middle) > least else (middle, inner)
        return outer

    return Band(end(0.0), count.share, end(1.0))


def _log_mixed(count: Count) -> float:
    """Return the logarithm of the likelihood of a count mixed over all shares:

    B(k + 1/2, n - k + 1/2) / B(1/2, 1/2).
    """
    return _log_beta(count.hits + _PRIOR, count.of - count.hits + _PRIOR) - _log_beta(_PRIOR, _PRIOR)


def _log_likelihood(count: Count, share: float) -> float:
    """Return the logarithm of the likelihood of a count under one `share` p: p^k (1 - p)^(n - k)."""
    return _times_log(count.hits, share) + _times_log(count.of - count.hits, 1 - share)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _times_log(times: float, value: float) -> float:
    if not times:
        return 0.0
    return times * math.log(value) if value > 0 else -math.inf


def _largest(function: Callable[[float], float], low: float, high: float) -> float:
    """Return the largest value of a concave function between two ends, by the golden section."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    of_left, of_right = function(left), function(right)
    for _ in range(_STEPS):
        if of_left > of_right:
            high, right, of_right = right, left, of_left
            left = high - ratio * (high - low)
            of_left = function(left)
        else:
            low, left, of_left = left, right, of_right
            right = low + ratio * (high - low)
            of_right = function(right)
    return max(of_left, of_right, function(low), function(high))
