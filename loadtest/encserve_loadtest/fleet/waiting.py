"""How long work waits at each rate, and from which wait on a replica is to be added."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encserve_loadtest.measurement.by_rate import by_rate
from encserve_loadtest.measurement.window import Window

ADDED_AT = 0.85
"""A replica is added where each has this share of what it holds; the rest is for what comes while it starts."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WaitCurve:
    """The mean wait as a function of the rate of one replica."""

    rates_per_s: NDArray[np.float64]
    """Zero, and the rates that were measured, in order, (points,)."""
    waits_s: NDArray[np.float64]
    """The mean wait at each, which never falls, (points,)."""

    def wait_s(self, rate_per_s: float) -> float:
        """The mean wait at a rate; beyond the highest that was measured, that of it."""
        return float(np.interp(rate_per_s, self.rates_per_s, self.waits_s))

    def added_at_s(self, low_per_s: float) -> float:
        """The seconds of work waiting, on average over the replicas, at which one more is to be added.

        Args:
            low_per_s: the lower end of the capacity of one replica.
        """
        return self.wait_s(ADDED_AT * low_per_s)


def wait_curve(windows: Iterable[Window], *, alone_s: float) -> WaitCurve | None:
    """The mean latency without that of a request that is alone, by rate. None without a window of an open loop.

    Args:
        windows: of a plan.
        alone_s: the median latency of one user, who waits for nobody.
    """
    groups = by_rate(windows)
    means = {rate: float(np.mean([window.mean_s for window in each])) for rate, each in groups.items()}
    points = {rate: mean_s for rate, mean_s in means.items() if np.isfinite(mean_s)}
    if not points:
        return None
    waits_s = np.maximum.accumulate(np.maximum(np.array(list(points.values())) - alone_s, 0.0))
    return WaitCurve(rates_per_s=np.array([0.0, *points]), waits_s=np.array([0.0, *waits_s]))
