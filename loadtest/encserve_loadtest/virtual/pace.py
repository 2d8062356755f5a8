"""How fast a server works at each moment: what a machine that is slow for a while, or stands still, does to a queue."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

STANDSTILL = 1e-9
"""The speed of a server that stands still: not zero, so that each amount of work is done at one time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pace:
    """Seconds of work that are done by each moment: straight lines between points, at speed 1 after the last."""

    time_s: Times
    """Moments in order, (points,), the first is 0."""
    work_s: Times
    """Work that is done by then, (points,)."""

    def work(self, time_s: Times) -> Times:
        """The work that a server which never rests has done by `time_s` (n,)."""
        beyond = np.maximum(time_s - self.time_s[-1], 0.0)
        return np.asarray(np.interp(time_s, self.time_s, self.work_s) + beyond)

    def time(self, work_s: Times) -> Times:
        """When it has done `work_s` (n,)."""
        beyond = np.maximum(work_s - self.work_s[-1], 0.0)
        return np.asarray(np.interp(work_s, self.work_s, self.time_s) + beyond)


def pace_of(lengths_s: Times, speeds: Times) -> Pace:
    """The pace of a server that has each of `speeds` (n,) for as long as `lengths_s` (n,) says, one after another."""
    time_s = np.concatenate([[0.0], np.cumsum(lengths_s)])
    work_s = np.concatenate([[0.0], np.cumsum(lengths_s * np.maximum(speeds, STANDSTILL))])
    return Pace(time_s=time_s, work_s=work_s)


STEADY = pace_of(np.array([1.0]), np.array([1.0]))


def standing_still(begin_s: float, length_s: float) -> Pace:
    """A server that does nothing from `begin_s` on for `length_s`, once."""
    return pace_of(np.array([begin_s, length_s]), np.array([1.0, 0.0]))


def two_speeds(slow: float, *, mean_s: float, horizon_s: float, rng: np.random.Generator) -> Pace:
    """A server that is slow for a while and fast for a while, each for a random time of mean `mean_s`.

    Args:
        slow: its speed while it is slow; while it is fast it is 1.
        mean_s: of the exponential times.
        horizon_s: about how long this goes on.
        rng: draws the times.
    """
    count = 2 * int(horizon_s / mean_s / 2 + 1)
    lengths_s = rng.exponential(mean_s, count)
    speeds = np.tile([1.0, slow] if rng.random() < 0.5 else [slow, 1.0], count // 2)
    return pace_of(lengths_s, speeds)
