"""When requests are due: pure functions from a rate to scheduled times.

A process makes arrivals at a mean of one per unit of "expected arrivals"; a shape turns these into seconds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.traffic.shapes import STEADY, Shape

Times: TypeAlias = NDArray[np.float64]

Process: TypeAlias = Callable[[float, np.random.Generator], Times]
"""The number of arrivals to expect, m -> sorted positions between 0 and m, at a mean of one per unit."""


def poisson(expected: float, rng: np.random.Generator) -> Times:
    """Independent users: given their number, the arrivals of a Poisson process are sorted uniforms."""
    return np.sort(rng.uniform(0, expected, rng.poisson(expected)))


def constant(expected: float, rng: np.random.Generator) -> Times:
    """A metronome."""
    return np.arange(0.5, expected)


def replay(timestamps_s: Times) -> Process:
    """The gaps between recorded timestamps (n,), stretched to the wanted rate.

    The recording begins at a random place and starts over at its end, so that repeated windows differ.
    """
    gaps = np.diff(timestamps_s)
    gaps = gaps / gaps.mean()

    def process(expected: float, rng: np.random.Generator) -> Times:
        rolled = np.roll(gaps, -int(rng.integers(len(gaps))))
        laps = int(np.ceil(expected / len(gaps))) + 1
        times: Times = np.cumsum(np.tile(rolled, laps)) - rolled[0]
        return times[times < expected]

    return process


PROCESSES: dict[str, Process] = {"poisson": poisson, "constant": constant}
"""Name -> process."""


def process_of(name: str) -> Process:
    """The process called `name`, or the replay of the file of that name.

    Raises:
        InvalidPlan: there is neither, or the file is malformed; the message names the line.
    """
    return PROCESSES[name] if name in PROCESSES else replay(read_timestamps_s(Path(name)))


def read_timestamps_s(path: Path) -> Times:
    """The timestamps of a file, one per line, in seconds, in order, (n,).

    Raises:
        InvalidPlan: the file cannot be read, has a malformed line, or fewer than two different times.
    """
    times: list[float] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(PROCESSES)
        raise InvalidPlan(f"arrivals are {known}, or a file of timestamps; {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            time_s = float(line)
        except ValueError as error:
            raise InvalidPlan(f"{path} line {number}: {line!r} is no timestamp in seconds") from error
        if not np.isfinite(time_s) or (times and time_s < times[-1]):
            raise InvalidPlan(f"{path} line {number}: {line!r} is earlier than the line before it, or not finite")
        times.append(time_s)
    if len(set(times)) < 2:
        raise InvalidPlan(f"{path} must hold at least two different timestamps, it holds {len(set(times))}")
    return np.array(times)


def schedule_s(
    process: Process, *, rate_per_s: float, duration_s: float, rng: np.random.Generator, shape: Shape = STEADY
) -> Times:
    """The scheduled times of a run, in seconds from its start, sorted, (n,). `rate_per_s` is the peak of the shape."""
    expected = shape.expected(peak_per_s=rate_per_s, duration_s=duration_s)
    return shape.times_s(process(expected, rng), peak_per_s=rate_per_s, duration_s=duration_s)
