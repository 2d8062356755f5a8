"""With how many others in a round texts are whole in time."""

from __future__ import annotations

from collections.abc import Iterable

from ...instance.lanes import LANES
from ..texts.text import GeneratedText
from .lengths import least_of
from .pace import Pace, hypotheses_of

IN_TIME = 0.9
"""The part of the time that is left of a text in which it is to be whole by the estimate; the rest is for what is not
known of rounds and texts to come."""


class InTime:
    """How many hypotheses are decoded together at one moment, and with how many those are whole in time: interactive
    texts leave no other behind for one of bulk, and bulk waits for both.

    Args:
        pace: of the engine.
        texts: those that are decoded.
        now_s: when that is, on the clock of `time.monotonic`.
    """

    def __init__(self, pace: Pace, texts: Iterable[GeneratedText], now_s: float) -> None:
        texts = list(texts)
        self._pace, self._now_s = pace, now_s
        self._of_none_s, self._of_each_s = pace.line()
        self._few = self._of_none_s / self._of_each_s if self._of_each_s else 0.0
        """With fewer hypotheses than these a round is hardly shorter, for what it takes without any."""
        self._rows = hypotheses_of(texts)
        self._limits = list[tuple[float, GeneratedText]]()
        """The texts that limit how many come in, and to how many hypotheses."""
        self._most = dict.fromkeys(LANES, float("inf"))
        for text in texts:
            self._limit(text)

    def most(self, lane: str) -> float:
        """The hypotheses of a round in which texts that are not behind this lane are whole in time."""
        return self._most[lane]

    def tight(self, lane: str, rows: float) -> list[GeneratedText]:
        """The texts that are whole in time only with fewer hypotheses in a round than so many."""
        before = LANES[: LANES.index(lane) + 1]
        return [text for most, text in self._limits if most < rows and text.lane in before]

    def rows(self, text: GeneratedText, part: float = IN_TIME) -> float:
        """With how many hypotheses in each round a text is whole in such a part of its time, if it is no longer than
        nineteen of twenty."""
        return self._rows_in(text, self._pace.most_left(text), part)

    def _rows_in(self, text: GeneratedText, rounds: int, part: float = IN_TIME) -> float:
        """With how many a text may have so many rounds; infinite where nothing is known of rounds."""
        may_take_s = part * (text.deadline_s - self._now_s) / rounds
        if not self._of_each_s or may_take_s == float("inf"):
            return float("inf")
        return max((may_take_s - self._of_none_s) / self._of_each_s, 0.0)

    def has(self, text: GeneratedText, lane: str) -> bool:
        """Whether one more may be decoded without any of the others that are not behind this lane being late for it."""
        return not self._rows or self._rows + text.choice.beams <= self._most[lane]

    def take(self, text: GeneratedText) -> None:
        """Count one more among those that are decoded."""
        self._rows += text.choice.beams
        self._limit(text)

    def _limit(self, text: GeneratedText) -> None:
        """A text limits how many come in by the rounds that it must have and, as far as that does not cost the others
        most of what they get, by those that it may have. One that will be late all the same asks for nothing."""
        round_s, left_s = self._of_none_s + self._rows * self._of_each_s, text.deadline_s - self._now_s
        if text.first or self._pace.tokens_left(text) * round_s > left_s:
            return
        rows = max(self.rows(text), self._few)
        if (sure := least_of(text) - text.rounds) > 0:
            rows = min(rows, self._rows_in(text, sure))
        self._limits.append((rows, text))
        for lane in LANES[LANES.index(text.lane) :]:
            self._most[lane] = min(self._most[lane], rows)
