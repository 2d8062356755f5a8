"""At which rate a given share of the requests is late: a curve through the runs, and what it leaves open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

Of M/M/1 it is 1, of M/D/1 1 to 1.7, and a batcher whose batches are still small can have 10."""
_SCALES: tuple[tuple[Callable[[Grid], Grid], Callable[[Grid], Grid]], ...] = (
    (np.log, np.ones_like),
    (np.asarray, np.asarray),
)
"""The scales of the rate on which the curve may be straight, and how fast each grows with the logarithm of the rate."""
NO_LOAD = 1e-6
"""The share of saturation that stands for an idle server, since the logarithm has no zero."""
HICCUPS = 0.1
"""Of an idle server, too, some answer is late by chance: no share below this part of what is allowed tells anything."""


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
    counts: Sequence[Count],
    dispersions: Sequence[float],
    *,
    allowed: float,
    saturation_per_s: float,
    idle: Count | None = None,
) -> Crossing:
    """Fit the late share p as a function of the rate.

    With x the rate on some scale and x* that of the crossing,

        logit p(x) = logit(allowed) + k log(1 / allowed) (x - x*) / (x_saturation - x*).

    In a queue log p falls about linearly with the distance from saturation, where p is 1. For M/M/1 it does so exactly,
    on the scale of the rate itself, with k = 1: the latency is exponential with rate mu - lambda, and so are the tails
    of queues where waits add up (Asmussen, Applied Probability and Queues, 2nd edition 2003, chapter XIII). Far from
    saturation a request of a server with even service times is late when so many others came within a moment, n say, of
    which the probability grows with the n-th power of the rate: there the line is straight on the scale of its
    logarithm. Between the two the runs can seldom tell, and where they are all beyond the crossing it lies elsewhere by
    each. So both are fitted, and each counts by how likely it makes the runs (Hoeting et al., "Bayesian model
    averaging", Statistical Science 14, 1999), as does each k.

    Late requests come in clusters, so the binomial log-likelihood of each run is divided by its dispersion
    (quasi-likelihood: McCullagh and Nelder, Generalized Linear Models, 2nd edition 1989, section 4.5). All rates below
    saturation are equally likely before. In place of intervals by the curvature at the best rate the whole likelihood
    is taken, since with few clusters it is far from a parabola; that the intervals cover the truth as often as they
    say is measured (`benchmarks/capacity/coverage.py`).

    Args:
        counts: of the runs.
        dispersions: variance of the number of late requests of each, as a multiple of that of independent ones.
        allowed: the share of the requests that may be late.
        saturation_per_s: the rate at which the queue would have no end.
        idle: what a user who was alone saw of it.
    """
    rates = saturation_per_s * _LOADS  # (crossings,)
    measured = np.array([each.rate_per_s for each in counts])  # (runs,)
    late = np.array([each.late for each in counts]) / dispersions
    requests = np.array([each.requests for each in counts]) / dispersions
    away = np.log(_STEEPNESSES / STEEPNESS)
    prior = -((away / np.where(away < 0, FLATTER, STEEPER)) ** 2) / 2  # (slopes,)
    log_likelihoods, slopes, middle = [], [], np.log(allowed / (1 - allowed))
    for scale, growth in _SCALES:
        per_x = _STEEPNESSES[:, None] * np.log(1 / allowed) / (scale(np.array(saturation_per_s)) - scale(rates))
        logit = middle + per_x[:, :, None] * (scale(measured) - scale(rates)[:, None])
        logit = np.clip(logit, -40, 15)  # (slopes, crossings, runs)
        log_likelihood = logit @ late - np.log1p(np.exp(logit)) @ requests + prior[:, None]
        if idle is not None:
            begin = scale(np.array(NO_LOAD * saturation_per_s))
            share = 1 / (1 + np.exp(-np.clip(middle + per_x * (begin - scale(rates)), -40, 15)))
            share = np.maximum(share, HICCUPS * allowed)  # (slopes, crossings)
            log_likelihood += idle.late * np.log(share) + (idle.requests - idle.late) * np.log1p(-share)
        log_likelihoods.append(log_likelihood)
        slopes.append(per_x * growth(rates))
    all_likelihoods, slope = np.array(log_likelihoods), np.array(slopes)  # (scales, slopes, crossings)
    weights = np.exp(all_likelihoods - all_likelihoods.max()) * np.gradient(rates)
    share = weights.sum(axis=(0, 1)) / weights.sum()  # (crossings,)
    return Crossing(
        rates_per_s=rates,
        probability=np.cumsum(share) - share / 2,
        slope=float(np.sum(weights * slope) / np.sum(weights)),
    )
