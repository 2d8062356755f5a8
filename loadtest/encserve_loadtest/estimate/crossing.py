"""At which rate a given share of the requests is late: a curve through the runs, and what it leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encserve_loadtest.estimate.record import Count

Grid = NDArray[np.float64]

_LOADS = 1 / (1 + np.exp(-np.linspace(-5.0, 7.0, 241)))  # (crossings,)
"""Crossings that are tried, as shares of saturation: dense where it is near."""
_STEEPNESSES = np.exp(np.linspace(np.log(0.3), np.log(30), 20))  # (slopes,)
STEEPNESS, FLATTER, STEEPER = 1.0, 0.3, 0.8
"""How steep the curve is taken to be until the runs say more, and the spread of its logarithm to either side.

Of M/M/1 it is 0.7 to 0.9, of M/D/1 1 to 1.4, and a batcher whose batches are still small can have 10."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Crossing:
    """What the runs say of the rate at which the allowed share of the requests is late: how likely each rate is."""

    rates_per_s: Grid
    """Rates that are tried, (crossings,)."""
    probability: Grid
    """Of the crossing being at or below each, (crossings,)."""
    slope: float
    """By how much the logit of the late share grows with the logarithm of the rate there."""

    def quantile_per_s(self, probability: float) -> float:
        """The rate below which the crossing is with this probability."""
        return float(np.interp(probability, self.probability, self.rates_per_s))

    @property
    def rate_per_s(self) -> float:
        """The median."""
        return self.quantile_per_s(0.5)


def find_crossing(
    counts: Sequence[Count], dispersions: Sequence[float], *, allowed: float, saturation_per_s: float
) -> Crossing:
    """Fit the late share p as a function of the rate.

    With x the logarithm of the rate and x* that of the crossing,

        logit p(x) = logit(allowed) + k log(1 / allowed) (x - x*) / (x_saturation - x*).

    In a queue log p falls about linearly with the distance from saturation, where p is 1 (for M/M/1 exactly: the
    latency is exponential with rate mu - lambda); that is k = 1. Other servers have another k, which the runs decide.
    Late requests come in clusters, so the binomial log-likelihood of each run is divided by its dispersion
    (quasi-likelihood: McCullagh and Nelder, Generalized Linear Models, 2nd edition 1989, section 4.5). All rates below
    saturation are equally likely before. In place of intervals by the curvature at the best rate the whole likelihood
    is taken, since with few clusters it is far from a parabola; that the intervals cover the truth as often as they
    say is measured (`benchmarks/coverage.py`).

    Args:
        counts: of the runs.
        dispersions: variance of the number of late requests of each, as a multiple of that of independent ones.
        allowed: the share of the requests that may be late.
        saturation_per_s: the rate at which the queue would have no end.
    """
    rates = saturation_per_s * _LOADS  # (crossings,)
    x = np.log([each.rate_per_s for each in counts])  # (runs,)
    late = np.array([each.late for each in counts]) / dispersions
    requests = np.array([each.requests for each in counts]) / dispersions
    slope = _STEEPNESSES[:, None] * np.log(1 / allowed) / -np.log(_LOADS)  # (slopes, crossings)
    logit = np.log(allowed / (1 - allowed)) + slope[:, :, None] * (x - np.log(rates)[:, None])
    logit = np.clip(logit, -40, 15)  # (slopes, crossings, runs)
    log_likelihood = logit @ late - np.log1p(np.exp(logit)) @ requests
    away = np.log(_STEEPNESSES / STEEPNESS)
    log_likelihood -= ((away / np.where(away < 0, FLATTER, STEEPER)) ** 2 / 2)[:, None]
    weights = np.exp(log_likelihood - log_likelihood.max()) * np.gradient(rates)  # (slopes, crossings)
    share = weights.sum(axis=0) / weights.sum()
    return Crossing(
        rates_per_s=rates,
        probability=np.cumsum(share) - share / 2,
        slope=float(np.sum(weights * slope) / np.sum(weights)),
    )
