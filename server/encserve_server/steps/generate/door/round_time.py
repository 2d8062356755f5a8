"""What a round of an engine takes, by how many hypotheses are in it, as rounds lately took it."""

from __future__ import annotations

from collections import deque

from ..decoder.round import Round

NEWEST = 0.2
"""The weight of the newest round in what a step takes; of those before it the weights shrink by as much."""
NEWEST_OF_LINE = 0.05
"""The same in how much longer a step takes for each hypothesis more, as soon as there were twenty rounds."""
LEAST_RISE = 0.1
"""Such a part of what each hypothesis takes, if all take as much, one more takes at least; also where rounds were all
of one size, and so say nothing of larger ones."""
SEVERAL = 8
"""The rounds of which the shortest says what a round takes at least: of fewer, one that stood still may be all."""
MOST_OF_ONE = 3.0
"""Times as long as it was expected to take, or as others lately took, a round counts at most, as soon as several are
known: one in which the host stood still says nothing of others, and where all others are of one size, it would for ever
say how much longer those take that have more in them."""
ENCODED = 20
"""The calls of the encoder that say together what a token takes: a call has a price of its own, which is most of a
short one's."""


class RoundTime:
    """A line: the steps of a round take so long, and so much longer for each hypothesis more. Not for several threads
    at a time."""

    def __init__(self) -> None:
        self._encoded = deque[tuple[float, int]](maxlen=ENCODED)
        self.forget()

    def forget(self) -> None:
        """Forget what steps took. What encoding a token takes stays."""
        self.step_s = 0.0
        """Seconds that the steps of a round lately took, with all that a round does but to encode; 0 where there was
        none."""
        self._lately = deque[float](maxlen=SEVERAL)
        self._rows = 1.0
        """The hypotheses that rounds lately had."""
        self._rounds, self._mean_rows, self._mean_s, self._variance, self._covariance = 0, 0.0, 0.0, 0.0, 0.0

    def took(self, seconds: float, done: Round) -> None:
        """Learn from a round."""
        rows, step_s = float(max(done.hypotheses, 1)), max(seconds - done.encoding_s, 0.0)
        if done.source_tokens and not done.is_health:
            self._encoded.append((done.encoding_s, done.source_tokens))
        if self._rounds >= SEVERAL:
            step_s = min(step_s, MOST_OF_ONE * max(self.steps_s(rows), self.step_s))
        newest = NEWEST if self._rounds else 1.0
        self._rounds += 1
        self._lately.append(step_s)
        self._rows += newest * (rows - self._rows)
        self.step_s += newest * (step_s - self.step_s)
        weight = max(1 / self._rounds, NEWEST_OF_LINE)
        more_rows, more_s = rows - self._mean_rows, step_s - self._mean_s
        self._mean_rows += weight * more_rows
        self._mean_s += weight * more_s
        self._variance = (1 - weight) * (self._variance + weight * more_rows**2)
        self._covariance = (1 - weight) * (self._covariance + weight * more_rows * more_s)

    def least_s(self, rows: float) -> float:
        """Seconds that the shortest of the last several rounds took, or one with so many hypotheses takes by rounds of
        several sizes, if that is less; 0 where there were fewer."""
        if len(self._lately) < SEVERAL:
            return 0.0
        return min(*self._lately, self.steps_s(rows) if self._variance else float("inf"))

    @property
    def knows_sizes(self) -> bool:
        """Whether rounds had several sizes, and so say what others take."""
        return self._variance > 0

    @property
    def row_s(self) -> float:
        """Seconds that one hypothesis more takes in a step."""
        alike_s, variance = self.step_s / self._rows, self._variance
        rise_s = self._covariance / variance if variance else 0.0
        return min(max(rise_s, LEAST_RISE * alike_s), alike_s)

    @property
    def token_s(self) -> float:
        """Seconds that encoding a token of a new text takes; 0 where none was encoded yet."""
        tokens = sum(each for _, each in self._encoded)
        return sum(seconds for seconds, _ in self._encoded) / tokens if tokens else 0.0

    def steps_s(self, rows: float) -> float:
        """Seconds that the steps of a round with so many hypotheses take."""
        return self.step_s + self.row_s * (rows - self._rows)
