"""A progress bar on stderr: rows done, rows per second, time remaining. Where it is no terminal, a line at times."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

BAR_WIDTH = 24
TERMINAL_INTERVAL_S = 0.1
"""The least time between two drawings of the bar, in seconds."""
LINE_INTERVAL_S = 10.0
"""The least time between two lines in a log file, in seconds."""


class Progress:
    """Shows how many rows of a call are done.

    Args:
        total: rows of the call; None where that is not known.
    """

    def __init__(
        self, total: int | None, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._terminal = self._stream.isatty()
        self._interval_s = TERMINAL_INTERVAL_S if self._terminal else LINE_INTERVAL_S
        self._began = self._shown = clock()

    def update(self, rows: int) -> None:
        """Show that `rows` rows are done, unless the last drawing is recent."""
        now = self._clock()
        if now - self._shown >= self._interval_s:
            self._shown = now
            self._show(rows, end="" if self._terminal else "\n")

    def close(self, rows: int) -> None:
        """Show the final count."""
        self._show(rows, end="\n")

    def _show(self, rows: int, *, end: str) -> None:
        line = describe(rows, self._total, elapsed_s=self._clock() - self._began)
        if self._terminal and self._total:
            filled = BAR_WIDTH * rows // self._total
            line = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {line}"
        erase = "\r\x1b[K" if self._terminal else ""
        print(f"{erase}{line}", end=end, file=self._stream, flush=True)


def describe(rows: int, total: int | None, *, elapsed_s: float) -> str:
    """One line: "4160 of 10000 texts, 812/s, 0:07 left"."""
    rate = rows / elapsed_s if elapsed_s > 0 else 0.0  # rows per second
    count = f"{rows} texts" if total is None else f"{rows} of {total} texts"
    if total is None or not rate or rows >= total:
        return f"{count}, {rate:.0f}/s"
    minutes, seconds = divmod(round((total - rows) / rate), 60)
    return f"{count}, {rate:.0f}/s, {minutes}:{seconds:02d} left"
