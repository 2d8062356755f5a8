"""How fast an engine goes, by what it did lately."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...instance.load_page import Load
from ..decoder.round import Round
from ..texts.text import GeneratedText
from .lengths import Lengths, least_of
from .round_time import RoundTime

SOONER = 0.5
"""Of the least that rounds lately took, or would take, they may come to take so much less: a text that would be late
all the same is lost."""
FASTER, SLOWER = 0.3, 0.05
"""The weight of a round in which more tokens a second were made than in those before, and that of one with fewer."""


class Pace:
    """What is known of the speed of an engine. Not for several threads at a time: the engine asks under its lock, but
    for its own thread, which alone tells it."""

    def __init__(self) -> None:
        self._time, self._lengths = RoundTime(), Lengths()
        self.tokens_per_second = 0.0
        """Tokens that all texts together get each second in rounds that have as many as had room; 0 where there was no
        round yet. Where only time limits how many come in it is that of the fastest rounds, and never falls."""

    @property
    def round_s(self) -> float:
        """Seconds that a round lately took, without encoding; 0 where there was none since the engine had nothing to
        do."""
        return self._time.step_s

    def was_idle(self) -> None:
        """Forget what rounds took: the next ones have other texts."""
        self._time.forget()

    def round_took(self, seconds: float, done: Round) -> None:
        """Learn from a round. One with fewer tokens a second than others says that the engine can do no more only where
        it had no room for another text."""
        self._time.took(seconds, done)
        rate = done.tokens / seconds if seconds else 0.0
        if rate > self.tokens_per_second or done.is_full:
            newest = FASTER if rate > self.tokens_per_second else SLOWER
            self.tokens_per_second += (newest if self.tokens_per_second else 1.0) * (rate - self.tokens_per_second)

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
        """About how many seconds it takes to encode so many tokens, at least."""
        return tokens * self._time.token_s

    def rounds_s(self, rounds: int, hypotheses: float) -> float:
        """About how many seconds so many rounds take, without encoding, with so many hypotheses in all of them
        together."""
        return rounds * self._time.steps_s(0) + hypotheses * self._time.row_s

    def seconds_of_round(self, rows: float) -> float:
        """About how many seconds a round with so many hypotheses takes, where a text like those that ended comes in for
        each that ends; 0 where nothing is known."""
        of_none_s, of_each_s = self.line()
        return of_none_s + rows * of_each_s

    def line(self) -> tuple[float, float]:
        """Seconds that a round takes with no hypothesis, and for each more, with the encoding of texts that come."""
        if not self.round_s:
            return 0.0, 0.0
        return self._time.steps_s(0), self._time.row_s + self._lengths.new_tokens * self._time.token_s

    def is_lost(self, text: GeneratedText, now_s: float) -> bool:
        """Whether a text cannot be whole in time, by the tokens that it gets in any case, even if rounds become much
        shorter than each of the last several, and than they would be with it alone."""
        sure = least_of(text) - text.rounds
        if sure <= 1 or text.first:
            return False
        return now_s + SOONER * sure * self._time.least_s(text.choice.beams) > text.deadline_s


def hypotheses_of(texts: Iterable[GeneratedText]) -> int:
    """How many hypotheses texts have together."""
    return sum(text.choice.beams for text in texts)
