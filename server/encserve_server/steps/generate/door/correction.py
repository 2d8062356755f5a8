"""How many times as long as it was estimated texts really took, as lately seen.

Estimates are of rounds alone, and the engine sees not all of what takes time: rounds become longer while a text waits,
others have the cores, and what is estimated is simpler than what happens. So what it came to says how much to add.
"""

from __future__ import annotations

import math

KEPT, MOST_OF_ONE = 0.95, 0.1
"""The weight of all that was seen before beside the next, and the most that the next has of that: a text of minutes
says no more than some short ones."""
LEAST, MOST = 1.0, 5.0
"""Between these the factor is, and no text says more by itself."""
HALF_LIFE_S = 10.0
"""Once the next lesson is overdue, half of all is forgotten in so many seconds: where it refuses everybody, nobody is
let in who could say that it is too high."""
OVERDUE = 5.0
"""So many times as long as lessons lately came apart, after the last, the next is overdue: of those that come by chance
hardly one does so late."""


class Correction:
    """The seconds that texts of a lane took by those that were estimated, of the last twenty or so, of each request the
    last: one for which little was estimated says little. Times are on the clock of `time.monotonic`. Not for several
    threads at a time."""

    def __init__(self) -> None:
        self._took_s = self._estimated_s = 1.0
        self._learnt_s = 0.0
        """When a text last said something."""
        self._apart_s = HALF_LIFE_S / OVERDUE
        """As long apart the last twenty or so did; what was more than overdue counts as just that."""

    def factor(self, now_s: float) -> float:
        """By which an estimate is to be multiplied now."""
        return max(self._ratio(now_s), LEAST)

    def learn(self, took_s: float, estimated_s: float, now_s: float) -> None:
        """Learn from a text that took so long from its arrival until now, of what was estimated when it came."""
        self._took_s = self._ratio(now_s) * self._estimated_s
        self._apart_s = KEPT * self._apart_s + (1 - KEPT) * min(max(now_s - self._learnt_s, 0.0), self._due_s)
        self._learnt_s = now_s
        weight = min(MOST_OF_ONE * self._estimated_s / estimated_s, 1.0)
        self._took_s = KEPT * self._took_s + weight * min(took_s, MOST * estimated_s)
        self._estimated_s = KEPT * self._estimated_s + weight * estimated_s

    def forget_half(self) -> None:
        """Forget half of what was learnt: nobody is there any more of those that it was learnt of."""
        self._took_s = (self._took_s + self._estimated_s) / 2

    @property
    def _due_s(self) -> float:
        """So many seconds after a lesson the next is overdue."""
        return OVERDUE * self._apart_s

    def _ratio(self, now_s: float) -> float:
        """The seconds that texts took by those that were estimated, as far as it is not forgotten."""
        kept = math.pow(0.5, max(now_s - self._learnt_s - self._due_s, 0.0) / HALF_LIFE_S)
        return 1.0 + kept * (self._took_s / self._estimated_s - 1.0)
