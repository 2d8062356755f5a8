"""Two servers, measured in turns at the same rates with the same arrivals: is one of them better?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from encserve_loadtest.estimate.experiment import ALLOWED
from encserve_loadtest.estimate.saturation import Bench
from encserve_loadtest.measurement.window import Window

PAIRS = 6
STUDENT_T = 3.5
"""The 99.2nd percentile of Student's t with 5 degrees of freedom, for six pairs: with six changes tried, one that is no
better is taken for better in 5 of 100 plans (Bonferroni)."""
HIGHER = 2.0
"""The pairs are measured above the crossing by so much, in the logit of the late share: where one request in fifteen is
late, a short run says more than where one in a hundred is."""
MOST_SETTLING, SETTLED = 5, 0.05
"""A rate is settled in so many runs at most, or when one changes its logarithm by less than the second."""
FARTHEST = 1.5
"""The rate of the next pair is at most so many times the first, or the first so many times it."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How much more one server holds than the other, pair by pair."""

    log_ratios: tuple[float, ...]
    """The logarithm of the ratio of their rates at the percentile, (pairs,)."""

    @property
    def gain(self) -> float:
        """How much more the second holds, as a share of the first."""
        return math.expm1(float(np.mean(self.log_ratios)))

    @property
    def interval(self) -> tuple[float, float]:
        """The gain as far as the pairs tell it."""
        middle = float(np.mean(self.log_ratios))
        margin = STUDENT_T * float(np.std(self.log_ratios, ddof=1)) / math.sqrt(len(self.log_ratios))
        return math.expm1(middle - margin), math.expm1(middle + margin)

    @property
    def is_better(self) -> bool:
        """Whether the second holds more, by more than chance."""
        return self.interval[0] > 0


async def compare(first: Bench, second: Bench, *, rate_per_s: float, slope: float, run_s: float) -> Comparison:
    """Measure A B A B: what disturbs the host for longer than a run disturbs both.

    Args:
        first: the settings so far.
        second: other ones. Benches with one seed and equally many windows give both the same arrivals.
        rate_per_s: about where the first just holds the target.
        slope: by how much the logit of the late share grows with the logarithm of the rate there.
        run_s: how long each run is.
    """
    first_per_s = rate = rate_per_s * math.exp(HIGHER / slope)
    ratios = []
    for _ in range(PAIRS):
        held = [
            rate_at_percentile(await bench.at_rate(rate, duration_s=run_s), rate, slope) for bench in (first, second)
        ]
        ratios.append(math.log(held[1] / held[0]))
        rate = math.sqrt(held[0] * held[1]) * math.exp(HIGHER / slope)
        rate = min(max(rate, first_per_s / FARTHEST), first_per_s * FARTHEST)
    return Comparison(log_ratios=tuple(ratios))


async def settle(bench: Bench, *, rate_per_s: float, slope: float, run_s: float) -> float:
    """About the rate at which a server just holds the target: a few runs, each where the one before suggests."""
    rate = rate_per_s
    for _ in range(MOST_SETTLING):
        higher = rate * math.exp(HIGHER / slope)
        held = rate_at_percentile(await bench.at_rate(higher, duration_s=run_s), higher, slope)
        if abs(math.log(held / rate)) < SETTLED:
            return held
        rate = held
    return rate


def rate_at_percentile(window: Window, rate_per_s: float, slope: float) -> float:
    """The rate at which the target would just be held, by how many were late in one window.

    One late request of as many as are allowed one is added, so that a window without any says something, too.
    """
    late = np.count_nonzero(window.latency_s > window.target_p99_s) + 1
    requests = len(window.latency_s) + 1 / ALLOWED
    share = min(late / requests, 0.999)
    logit = math.log(share / (1 - share)) - math.log(ALLOWED / (1 - ALLOWED))
    return rate_per_s * math.exp(-logit / slope)
