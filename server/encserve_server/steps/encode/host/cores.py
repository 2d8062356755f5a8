"""How many cores this process has: those that it may run on, or fewer where a container is given less of their time;
and which of them threads get that work together."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Return the number of cores that this process may use, at least 1. More threads than that would stop each other
    when the container's time is used up."""
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), _quota(cgroup))))


def own_cores(threads: int) -> list[int]:
    """Return a core for each of several threads that work together and need all cores; none where they leave some free.

    A thread that wakes another may get it beside itself, on a core that is taken: in a virtual machine Linux does not
    see that a core is idle whose processor the host has put to sleep. The two then take turns for milliseconds.
    """
    cores = sorted(os.sched_getaffinity(0))
    return cores if threads == len(cores) > 1 else []


@contextmanager
def kept_on(cores: Collection[int]) -> Iterator[None]:
    """Keep the calling thread on `cores` during the block, where that is allowed; without cores it stays where it
    was."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    _move_to(cores)
    try:
        yield
    finally:
        _move_to(before)


def _move_to(cores: Collection[int]) -> None:
    with suppress(OSError):  # the container may have other cores by now
        os.sched_setaffinity(0, cores)  # 0 is the calling thread


def _quota(cgroup: Path) -> float:
    """Return the cores of the container's quota of processor time, by version 2 or 1 of control groups; infinite
    without a quota."""
    try:
        if (cgroup / "cpu.max").is_file():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else math.inf
    except (OSError, ValueError):  # no control groups, or "max"
        return math.inf
