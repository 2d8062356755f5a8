"""The end of a call: one point in time for all that is done for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from numbers import Real

from encserve._errors import InvalidInput

MAX_TIMEOUT_S = 1e9
"""Thirty years: what clocks, threads and Triton's microseconds can still count."""


class Deadline:
    """A point in time, `timeout_s` seconds after it was made."""

    def __init__(self, timeout_s: float, *, clock: Callable[[], float] | None = None) -> None:
        self.timeout_s = timeout_s
        self._clock = clock or time.monotonic
        self._end_s = self._clock() + timeout_s

    def left_s(self) -> float:
        """Seconds until then; negative after it."""
        return self._end_s - self._clock()


def check_timeout(timeout_s: float) -> float:
    """Return `timeout_s` if it is a positive number of seconds, at most `MAX_TIMEOUT_S`.

    Raises:
        InvalidInput: it is not.
    """
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, Real) or not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise InvalidInput(
            f"timeout_s is {timeout_s!r}, expected a positive number of seconds, at most {MAX_TIMEOUT_S:.0e}"
        )
    return timeout_s
