"""How fast an engine goes, by what it did lately, and with how many texts at a time those under way are whole in
time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from ..instance.load_page import Load
from .lengths import Lengths, least_of
from .round import Round
from .round_time import RoundTime
from .text import GeneratedText

IN_TIME = 0.9
"""The part of the time that is left of a text in which it is to be whole by the estimate; the rest is for what is not
known of rounds and texts to come."""
SOONER = 0.5
"""Of what rounds lately took, they may come to take so much less: a text that would be late all the same is lost."""
KEPT_OF_FULL = 0.95
"""The weight of all full rounds before beside each next one, in how many tokens a second texts get."""


class Pace:
    """What is known of the speed of an engine, whose thread tells it; others may read it meanwhile."""

    def __init__(self) -> None:
        self._time, self._lengths = RoundTime(), Lengths()
        self._full_tokens, self._full_s = 0.0, 0.0

    @property
    def round_s(self) -> float:
        """Seconds that a round lately took, without encoding; 0 where there was none since the engine had nothing to
        do."""
        return self._time.step_s

    def was_idle(self) -> None:
        """Forget what rounds took: the next ones have other texts."""
        self._time.forget()

    def round_took(self, seconds: float, done: Round) -> None:
        """Learn from a round, of which the tokens a second say what the engine can do only where it was full."""
        self._time.took(seconds, done)
        if done.is_full:
            self._full_tokens = KEPT_OF_FULL * self._full_tokens + done.tokens
            self._full_s = KEPT_OF_FULL * self._full_s + seconds

    @property
    def tokens_per_second(self) -> float:
        """Tokens that all texts together lately got each second in full rounds; 0 where none was full yet."""
        return self._full_tokens / self._full_s if self._full_s else 0.0

    def work(self, waiting: Sequence[GeneratedText]) -> Load:
        """The work that texts are which wait for room: the tokens that they will get, as `tokens_left` says."""
        return Load(tokens=sum(map(self.tokens_left, waiting)), rate=self.tokens_per_second, room=0.0)

    def has_ended(self, text: GeneratedText) -> None:
        """Learn from a text that came to its end."""
        self._lengths.has_ended(text)

    def tokens_left(self, text: GeneratedText) -> int:
        """About how many rounds a text will still have, one for each token."""
        return self._lengths.left(text)

    def most_left(self, text: GeneratedText) -> int:
        """How many rounds a text will hardly exceed."""
        return self._lengths.most_left(text)

    def encoding_s(self, tokens: int) -> float:
        """About how many seconds it takes to encode so many tokens."""
        return tokens * self._time.token_s

    def seconds_of_round(self, rows: float) -> float:
        """About how many seconds a round with so many hypotheses takes, where a text like those that ended comes in for
        each that ends; 0 where nothing is known."""
        return self._time.steps_s(rows) + rows * self._encoding_s_of_row if self.round_s else 0.0

    def most_rows(self, texts: Iterable[GeneratedText]) -> float:
        """With how many hypotheses in a round each of the texts that are decoded is whole in time. One that will be
        late even with as many as there are asks for nothing."""
        texts, now_s = list(texts), time.monotonic()
        round_s = self.seconds_of_round(hypotheses_of(texts))
        may_take_s = ((text.deadline_s - now_s) / self.most_left(text) for text in texts)
        longest_s = IN_TIME * min((each for each in may_take_s if each >= round_s), default=float("inf"))
        if not self.round_s:
            return float("inf")
        of_none_s = self._time.steps_s(0)
        return max((longest_s - of_none_s) / (self._time.row_s + self._encoding_s_of_row), 0.0)

    def has_time(self, text: GeneratedText, texts: Sequence[GeneratedText]) -> bool:
        """Whether a text may be decoded beside others without any of these being late for it."""
        return not texts or hypotheses_of(texts) + text.choice.beams <= self.most_rows(texts)

    def is_too_late(self, text: GeneratedText, now_s: float, *, rows: float) -> bool:
        """Whether a text that waits would not be whole in time even if its turn came now, in rounds with so many
        hypotheses."""
        whole_s = now_s + self.tokens_left(text) * self.seconds_of_round(rows)
        return not text.first and whole_s > text.deadline_s

    def is_lost(self, text: GeneratedText, now_s: float) -> bool:
        """Whether a text under way cannot be whole in time, by the tokens that it gets in any case, even if rounds
        become much shorter."""
        sure = least_of(text) - text.rounds
        return sure > 1 and not text.first and now_s + SOONER * sure * self.round_s > text.deadline_s

    @property
    def _encoding_s_of_row(self) -> float:
        return self._lengths.new_tokens * self._time.token_s


def hypotheses_of(texts: Iterable[GeneratedText]) -> int:
    """How many hypotheses texts have together."""
    return sum(text.choice.beams for text in texts)
