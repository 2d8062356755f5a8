"""How a load changes over a run, as data: straight lines between points."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A rate over time, independent of how long and how strong: it is scaled to a duration and a peak."""

    points: tuple[tuple[float, float], ...]
    """(share of the duration, share of the peak rate), in order of time. Two points at one time make a jump."""

    def expected(self, *, peak_per_s: float, duration_s: float) -> float:
        """The mean number of arrivals in the whole run."""
        return float(self._arrivals_before()[-1]) * peak_per_s * duration_s

    def times_s(self, counts: NDArray[np.float64], *, peak_per_s: float, duration_s: float) -> NDArray[np.float64]:
        """When the expected number of arrivals reaches each of `counts` (n,), in seconds from the start, (n,).

        This turns a process of one arrival per unit of time into one that follows the shape (time rescaling: Cinlar,
        Introduction to Stochastic Processes, 1975, section 4.7). Inside a segment the rate is linear, so the time is
        the root of a quadratic.
        """
        time, rate = self._columns()
        before = self._arrivals_before()
        wanted = counts / (peak_per_s * duration_s)
        segment = np.clip(np.searchsorted(before, wanted, side="right") - 1, 0, len(time) - 2)
        rest = wanted - before[segment]
        width = time[segment + 1] - time[segment]
        slope = np.divide(rate[segment + 1] - rate[segment], width, out=np.zeros_like(width), where=width > 0)
        speed = rate[segment] + np.sqrt(np.maximum(0.0, rate[segment] ** 2 + 2 * slope * rest))
        within = np.divide(2 * rest, speed, out=np.zeros_like(speed), where=speed > 0)
        times: NDArray[np.float64] = (time[segment] + np.minimum(within, width)) * duration_s
        return times

    def share_at(self, time_share: float) -> float:
        """The share of the peak at a share of the duration."""
        time, rate = self._columns()
        return float(np.interp(time_share, time, rate))

    def _columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        time, rate = np.array(self.points, np.float64).T
        return time, rate

    def _arrivals_before(self) -> NDArray[np.float64]:
        """The integral of the rate up to each point, (points,)."""
        time, rate = self._columns()
        return np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(time))])


def _stairs(rates: Sequence[float]) -> tuple[tuple[float, float], ...]:
    width = 1 / len(rates)
    return tuple((edge * width, rate) for step, rate in enumerate(rates) for edge in (step, step + 1))


SHAPES = {
    "soak": Shape(points=((0, 1), (1, 1))),
    "ramp": Shape(points=((0, 0), (1, 1))),
    "step": Shape(points=_stairs((0.25, 0.5, 0.75, 1))),
    "spike": Shape(points=((0, 0.3), (0.4, 0.3), (0.4, 1), (0.6, 1), (0.6, 0.3), (1, 0.3))),
    # A working day from midnight to midnight: quiet nights, a morning and an afternoon peak, a dip at noon.
    "diurnal": Shape(
        points=((0, 0.3), (0.17, 0.15), (0.25, 0.25), (0.42, 0.95), (0.54, 0.8), (0.63, 1), (0.83, 0.6), (1, 0.3))
    ),
}
"""Name -> shape. The strongest moment of each has a share of 1."""

STEADY = SHAPES["soak"]
