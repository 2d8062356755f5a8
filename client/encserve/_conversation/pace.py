"""How much work a second brings, while a client has as many requests in flight as it may have.

The pace is that of answers which reached their callers, so the time that the client itself needs is in it. It is told
at its best: what is refused because of it could not have been done.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

REMEMBERED = 64
"""Answers for each place that are remembered, so that a slow moment refuses nobody."""


class Pace:
    """Counts the work that is answered, from the moment on in which `places` requests are in flight."""

    def __init__(self, places: int, *, now_s: float) -> None:
        self._places = places
        self._done: deque[tuple[float, float]] = deque(maxlen=REMEMBERED * places + 1)
        """Moments, in seconds, and the work that was answered until each: the first one, and that of each answer."""
        self.begin(now_s)

    def begin(self, now_s: float) -> None:
        """Count from now on."""
        self.since_s = now_s
        """The moment since which it counts, in seconds of the clock."""
        self._done.clear()
        self._done.append((now_s, 0.0))
        self._in_flight = self._rate = 0.0

    def answered(self, work: float, now_s: float) -> None:
        """Count an answer."""
        self._done.append((now_s, self._done[-1][1] + work))

    @property
    def answers(self) -> int:
        """How many of those that it remembers have come."""
        return len(self._done) - 1

    def look(self, in_flight: float) -> None:
        """Learn the rate, with so much work in flight.

        A server that computes many requests at once answers them at once, and this may be the moment of the first of
        those answers. A beginning may be slow. So the rate is the most of three: the best average until any of the last
        answers, one for each place; that of these last ones alone; and that of the second half of few.
        """
        self._in_flight = in_flight
        self._rate = 0.0
        last = min(self._places, self.answers)
        (first_s, first), (now_s, now) = self._done[0], self._done[-1]
        for at_s, done in islice(reversed(self._done), last):
            self._rate = max(self._rate, _rate(done - first, at_s - first_s))
        for answers in {last, min(last, self.answers - self.answers // 2)} - {0}:
            at_s, done = self._done[-1 - answers]
            self._rate = max(self._rate, _rate(now - done, now_s - at_s))

    def seconds_for(self, waiting: float) -> float:
        """How long it takes at least until so much work that waits is done, as of the last look; 0 before any."""
        return (self._in_flight + waiting) / self._rate if self._rate else 0.0


def _rate(work: float, passed_s: float) -> float:
    return work / passed_s if passed_s > 0 else float("inf")
