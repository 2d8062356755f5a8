"""The rate of all users over a day, from a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encserve_loadtest.errors import InvalidPlan

_CLOCK = re.compile(r"(?P<hours>\d{1,2}):(?P<minutes>[0-5]\d)")
HEADER = "time,rate"


@dataclass(frozen=True, kw_only=True, eq=False)
class Day:
    """How many requests come at each time; straight lines between the points."""

    time_s: NDArray[np.float64]
    """Seconds, in order, (points,)."""
    rate_per_s: NDArray[np.float64]
    """Requests per second of all users, (points,)."""

    def rates_per_s(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rate at each of `times_s` (n,), (n,)."""
        return np.asarray(np.interp(times_s, self.time_s, self.rate_per_s), np.float64)


def read_day(path: Path) -> Day:
    """Read lines `time,rate`: seconds or HH:MM, and requests per second. A first line `time,rate` is a header.

    Raises:
        InvalidPlan: the file cannot be read, has a malformed line, or fewer than two; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidPlan(f"{path} cannot be read: {error}") from error
    points: list[tuple[float, float]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (number == 1 and line.replace(" ", "").lower() == HEADER):
            continue
        try:
            time, rate = (each.strip() for each in line.split(","))
            point = (_seconds(time), float(rate))
        except ValueError as error:
            raise InvalidPlan(f"{path} line {number}: {line!r}, expected {HEADER}, such as 09:30,1200") from error
        if not (0 <= point[1] < float("inf")) or (points and point[0] <= points[-1][0]):
            raise InvalidPlan(f"{path} line {number}: {line!r} is not later than the line before it, or has no rate")
        points.append(point)
    if len(points) < 2 or not any(rate for _, rate in points):
        raise InvalidPlan(f"{path} must hold at least two times, and a rate above zero")
    time_s, rates = np.array(points).T
    return Day(time_s=time_s, rate_per_s=rates)


def _seconds(text: str) -> float:
    clock = _CLOCK.fullmatch(text)
    return 3600.0 * int(clock["hours"]) + 60.0 * int(clock["minutes"]) if clock else float(text)
