"""The most that a server answers: what users who wait for their answers reach."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from encserve_loadtest.errors import PlanError
from encserve_loadtest.measurement.window import Window

USERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Concurrencies of the closed loop, until the throughput no longer grows."""

MIN_USERS = 8
"""So many users at least: throughput can dip before batches form."""

WORTHWHILE_GAIN = 1.05
STEP_S, LONG_S = 1.5, 10.0
"""How long each number of users asks, and how long the last of them asks in the end ..."""
LEAST_STEP_S, LEAST_LONG_S = 0.3, 1.0
"""... and the least of these in a search that has less time."""
ALONE_S = 5.0
"""One user asks for so long: what is late then is late without any queue."""

PARTS = 10
STUDENT_T = 2.31
"""The 97.5th percentile of Student's t with 8 degrees of freedom: the first part is left out."""


class Bench(Protocol):
    """What can be measured of a server, real or virtual."""

    async def at_rate(self, rate_per_s: float, *, duration_s: float) -> Window:
        """An open loop."""
        ...

    async def with_users(self, users: int, *, duration_s: float) -> Window:
        """A closed loop."""
        ...


@dataclass(frozen=True, kw_only=True)
class Saturation:
    """The throughput of the closed loop."""

    per_s: float
    """The best that was reached, in requests per second."""
    low_per_s: float
    """Lower end of the 95 % interval of the last number of users, by batch means."""
    high_per_s: float
    """Upper end of it, or the best where that is higher."""
    users: int
    alone_s: float
    """Median latency of one user."""
    alone_late: int
    """How many answers to one user exceeded the target ..."""
    alone_requests: int
    """... of so many."""
    measured_s: float
    """How long all numbers of users asked, together."""


async def saturate(bench: Bench, *, target_s: float, time_scale: float = 1.0) -> Saturation:
    """Let more and more users wait for their answers until the throughput no longer grows, then let the best go on.

    Args:
        bench: what measures.
        target_s: the latency that a request should not exceed.
        time_scale: multiplies the time that each number of users asks.

    Raises:
        PlanError: every request failed.
    """
    step_s, long_s = max(STEP_S * time_scale, LEAST_STEP_S), max(LONG_S * time_scale, LEAST_LONG_S)
    best = alone = window = await _asked(bench, 1, max(ALONE_S * time_scale, LEAST_STEP_S))
    windows = [alone]
    for users in USERS[1:]:
        windows.append(window := await _asked(bench, users, step_s))
        gained = window.achieved_per_s >= WORTHWHILE_GAIN * best.achieved_per_s
        best = max(best, window, key=lambda each: each.achieved_per_s)
        if users >= MIN_USERS and not gained:
            break
    windows.append(long := await _asked(bench, window.users or 1, long_s))
    low_per_s, high_per_s = _interval_per_s(long)
    return Saturation(
        per_s=max(best.achieved_per_s, long.achieved_per_s),
        low_per_s=low_per_s,
        high_per_s=max(best.achieved_per_s, high_per_s),
        users=window.users or 1,
        alone_s=alone.percentile_s(50),
        alone_late=int(np.count_nonzero(alone.run.latency_s > target_s)),
        alone_requests=len(alone.run.latency_s),
        measured_s=sum(each.run.duration_s for each in windows),
    )


async def _asked(bench: Bench, users: int, duration_s: float) -> Window:
    window = await bench.with_users(users, duration_s=duration_s)
    if window.achieved_per_s == 0 and window.run.failures:
        raise PlanError(f"every request failed: {window.failure_summary}")
    return window


def _interval_per_s(window: Window) -> tuple[float, float]:
    """The 95 % interval of a throughput, by the means of consecutive parts."""
    answered, _ = np.histogram(window.run.finished_s, bins=PARTS, range=(0, window.run.duration_s))
    rates = answered[1:] / (window.run.duration_s / PARTS)  # in the first part nothing is answered yet
    margin = STUDENT_T * float(rates.std(ddof=1)) / math.sqrt(len(rates))
    return float(rates.mean()) - margin, float(rates.mean()) + margin
