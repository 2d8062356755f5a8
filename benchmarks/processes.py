"""What processes cost, from /proc: CPU seconds and peak memory of a process and of all that it started."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_SAYS_IT_LIVES_S = 0.3
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """CPU seconds so far, and the largest resident memory so far."""

    own_cpu_s: float
    """Of the process itself, with children that have ended."""
    children_cpu_s: float
    """Of its descendants that run."""
    own_peak_bytes: int
    children_peak_bytes: int
    """Sum over its descendants; memory that they share counts for each."""


def cost_of(pid: int) -> Cost:
    """What a process and its descendants have cost since they began."""
    children = descendants(pid)
    return Cost(
        own_cpu_s=_cpu_s(pid),
        children_cpu_s=sum(map(_cpu_s, children)),
        own_peak_bytes=_peak_bytes(pid),
        children_peak_bytes=sum(map(_peak_bytes, children)),
    )


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that they started, the outer ones first."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for listing in Path(f"/proc/{waiting.pop(0)}/task").glob("*/children"):
            with suppress(OSError):  # a thread that ended meanwhile
                children = [int(child) for child in listing.read_text().split()]
                found += children
                waiting += children
    return found


def pause(pid: int) -> None:
    """Stop a process and its descendants, so that what they do while they wait costs nobody else."""
    for each in (pid, *descendants(pid)):
        _signal(each, signal.SIGSTOP)


def resume(pid: int) -> None:
    """Let them go on, the innermost well before the others: Triton takes a step for dead that has not said in 0.3 s
    that it lives, and time has passed for both while they stood still."""
    everyone = (pid, *descendants(pid))
    innermost = [each for each in everyone if not descendants(each)]
    for each in innermost:
        _signal(each, signal.SIGCONT)
    if len(innermost) < len(everyone):
        time.sleep(_SAYS_IT_LIVES_S)
    for each in reversed(everyone):
        _signal(each, signal.SIGCONT)


def kill(pid: int) -> None:
    """End them at once, whatever they do."""
    for each in (pid, *descendants(pid)):
        _signal(each, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _cpu_s(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    user, system, ended_user, ended_system = map(int, text.rpartition(")")[2].split()[11:15])
    return (user + system + ended_user + ended_system) / _TICKS_PER_S


def _peak_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
