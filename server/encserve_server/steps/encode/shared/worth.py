"""When the cache is asked at all: not while it fails, and not where it costs more than it spares."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

FAILURES = 3
"""The failures, one after the other, after which it is left alone for a while."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
"""The seconds of the first pause, which doubles with each failure after it, and of the longest."""
JUDGED_LOOKUPS = 200
"""The look-ups after which what they cost is held against what they spared."""
REST_S = 600.0
"""The seconds for which it is left alone where they cost more; then it is tried again."""


class _Attempts:
    """Failures of one kind, one after the other, and the pauses that follow them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._paused_until_s = 0.0
        self.worked()

    @property
    def open(self) -> bool:
        return self._clock() >= self._paused_until_s

    def worked(self) -> None:
        self._failures = 0
        self._next_pause_s = FIRST_PAUSE_S

    def failed(self) -> bool:
        """Return whether a pause begins."""
        self._failures += 1
        if self._failures < FAILURES:
            return False
        self._paused_until_s = self._clock() + self._next_pause_s
        self._next_pause_s = min(LONGEST_PAUSE_S, 2 * self._next_pause_s)
        return True


class Worth:
    """Decides whether the cache is asked, and whether rows are kept there. Any number of threads may use it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._reading, self._keeping = _Attempts(clock), _Attempts(clock)
        self._rests_until_s = 0.0
        self._lookups = 0
        self._spent_s = self._spared_s = 0.0
        self._token_s = 0.0

    @property
    def open(self) -> bool:
        """Whether it may be asked now."""
        return self._reading.open and self._clock() >= self._rests_until_s

    @property
    def keeps(self) -> bool:
        """Whether rows may be kept there now: a cache that answers and takes nothing is asked all the same."""
        return self.open and self._keeping.open

    def computed(self, tokens: int, seconds: float) -> None:
        """Take what the network took for so many tokens, from which follows what a row spares."""
        with self._lock:
            own = seconds / max(1, tokens)
            self._token_s = own if self._token_s == 0 else 0.9 * self._token_s + 0.1 * own

    def kept(self, seconds: float) -> None:
        """Take that rows were kept, and what that took of a core."""
        with self._lock:
            self._keeping.worked()
            self._spent_s += seconds

    def looked_up(self, seconds: float, tokens: int) -> bool:
        """Take what a look-up took, and for how many tokens it gave rows; returns whether the cache was found to cost
        more than it spares, and is left alone from now on."""
        with self._lock:
            self._reading.worked()
            self._lookups += 1
            self._spent_s += seconds
            self._spared_s += tokens * self._token_s
            if self._lookups < JUDGED_LOOKUPS or self._token_s == 0:
                return False
            costs_more = self._spent_s > self._spared_s
            self._lookups, self._spent_s, self._spared_s = 0, 0.0, 0.0
            if costs_more:
                self._rests_until_s = self._clock() + REST_S
            return costs_more

    def failed(self, seconds: float = 0.0) -> bool:
        """Take that a look-up failed, after so many seconds; returns whether the cache is left alone from now on."""
        with self._lock:
            self._spent_s += seconds
            return self._reading.failed()

    def not_kept(self) -> bool:
        """Take that rows could not be kept; returns whether none are from now on."""
        with self._lock:
            return self._keeping.failed()
