"""A busy loop of known length beside each run, and the kernel's count of processor time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

STEPS = 20_000
"""Of the busy loop: about half a millisecond, for which the generator waits at most."""
CALIBRATIONS = 101
EVERY_S = 0.5

_STAT = Path("/proc/stat")
_STEAL = 7
"""Its place among the fields of the line `cpu`: user nice system idle iowait irq softirq steal (proc(5))."""
_IDLE = (3, 4)


@dataclass(frozen=True, kw_only=True)
class ProcessorTimes:
    """Processor time of this machine since it was started, in seconds, of all cores together."""

    total_s: float
    busy_s: float
    """Without what was stolen."""
    stolen_s: float
    """Taken by the hypervisor for other machines."""


@dataclass(frozen=True, kw_only=True)
class HostState:
    """This machine during one run."""

    speed: float
    """Of the busy loop, 1 as it was calibrated; in processor time, so waiting for a core does not count."""
    steal_share: float
    """The share of the processor time that the hypervisor took."""


def read_processor_times() -> ProcessorTimes | None:
    """The kernel's count, or None where there is no /proc."""
    try:
        line = _STAT.read_text(encoding="ascii").split("\n", 1)[0]
    except OSError:
        return None
    fields = [int(each) / os.sysconf("SC_CLK_TCK") for each in line.split()[1:9]]
    total_s = sum(fields)
    idle_s = sum(fields[place] for place in _IDLE)
    return ProcessorTimes(total_s=total_s, busy_s=total_s - idle_s - fields[_STEAL], stolen_s=fields[_STEAL])


def spin_s() -> float:
    """How much processor time the busy loop takes now."""
    began_s = time.thread_time()
    for _ in range(STEPS):
        pass
    return time.thread_time() - began_s


@dataclass(kw_only=True)
class HostWatch:
    """Watches this machine. Calibrated when made, so before anything is sent."""

    spin: Callable[[], float] = spin_s
    read: Callable[[], ProcessorTimes | None] = read_processor_times
    every_s: float = EVERY_S
    _usual_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._usual_s = _median([self.spin() for _ in range(CALIBRATIONS)])

    def begin(self) -> Watching:
        """Watch from now on."""
        return Watching(self)

    def busy_share(self, before: ProcessorTimes | None, after: ProcessorTimes | None) -> float:
        """The share of the processor time between two counts in which something ran; 0 where it is not known."""
        if before is None or after is None or after.total_s <= before.total_s:
            return 0.0
        return (after.busy_s - before.busy_s) / (after.total_s - before.total_s)


class Watching:
    """One run that is watched, by a thread."""

    def __init__(self, watch: HostWatch) -> None:
        self._watch = watch
        self._before = watch.read()
        self._spins_s = [watch.spin()]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="encserve-host-watch", daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._ended.wait(self._watch.every_s):
            self._spins_s.append(self._watch.spin())

    def end(self) -> HostState:
        """What was seen until now."""
        self._ended.set()
        self._thread.join()
        before, after = self._before, self._watch.read()
        stolen = 0.0
        if before is not None and after is not None and after.total_s > before.total_s:
            stolen = (after.stolen_s - before.stolen_s) / (after.total_s - before.total_s)
        return HostState(speed=self._watch._usual_s / max(_median(self._spins_s), 1e-9), steal_share=stolen)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
