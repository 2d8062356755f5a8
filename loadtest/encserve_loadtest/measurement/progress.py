"""What the planner is doing, as lines on standard error."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

from encserve_loadtest.measurement.window import Window
from encserve_loadtest.quantities import milliseconds, rounded
from encserve_loadtest.traffic.run import Loop


class Progress:
    """Shows each stage, and under it each window with its verdict; every line begins with the time that has passed."""

    def __init__(self, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._began_s = clock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began_s

    def stage(self, doing: str) -> None:
        """Begin a stage."""
        self._line(doing)

    def note(self, text: str) -> None:
        """Say something within a stage."""
        self._line(f"  {text}")

    def window(self, window: Window) -> None:
        """Show a window that was measured."""
        self.note(describe(window))

    def _line(self, text: str) -> None:
        minutes, seconds = divmod(int(self.elapsed_s), 60)
        print(f"{minutes}:{seconds:02d}  {text}", file=self._stream, flush=True)


def describe(window: Window) -> str:
    """One line: the load, what was achieved, the latency, the verdict."""
    figures = f"{rounded(window.achieved_per_s):>6}/s   p50 {milliseconds(window.percentile_s(50)):>7}"
    figures += f"   p99 {milliseconds(window.p99_s):>7}"
    failed = f"   failed: {window.failure_summary}" if window.run.failures else ""
    if window.run.loop is Loop.CLOSED:
        return f"{window.users:>4} users     {figures}{failed}"
    return f"{rounded(window.offered_per_s):>6}/s  ->  {figures}   {verdict(window)}{failed}"


def verdict(window: Window) -> str:
    """One or two words for an open window."""
    if not window.is_valid:
        return f"invalid: the generator was {milliseconds(window.lateness_p99_s)} late"
    if not window.is_stable:
        return "queue grows"
    return "holds" if window.holds else "misses"
