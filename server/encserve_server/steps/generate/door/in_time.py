"""With how many others in a round texts are whole in time."""

from __future__ import annotations

from collections.abc import Iterable

from ...instance.lanes import BULK, LANES
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
        self._rows = hypotheses_of(texts)
        self.most = dict.fromkeys(LANES, float("inf")) | {BULK: pace.bears_who_come(IN_TIME, now_s)}
        """Lane -> the hypotheses of a round in which texts that are not behind this lane are whole in time; for bulk
        also interactive ones like those that lately came."""
        for text in texts:
            self._limit(text)

    def has(self, text: GeneratedText, lane: str) -> bool:
        """Whether one more may be decoded without any of the others that are not behind this lane being late for it."""
        return not self._rows or self._rows + text.choice.beams <= self.most[lane]

    def take(self, text: GeneratedText) -> None:
        """Count one more among those that are decoded."""
        self._rows += text.choice.beams
        self._limit(text)

    def _limit(self, text: GeneratedText) -> None:
        """A text limits how many come in by the rounds that it must have and, as far as that does not cost the others
        most of what they get, by those that it may have. One that will be late all the same asks for nothing."""
        pace, left_s = self._pace, text.deadline_s - self._now_s
        if text.first or left_s == float("inf"):
            return
        if pace.tokens_left(text) * pace.seconds_of_round(self._rows) > left_s:
            return
        rows = max(pace.bears(text, IN_TIME, self._now_s), pace.few)
        if (sure := least_of(text) - text.rounds) > 0:
            rows = min(rows, pace.bears(text, IN_TIME, self._now_s, rounds=sure))
        for lane in LANES[LANES.index(text.lane) :]:
            self.most[lane] = min(self.most[lane], rows)
