"""How fast an engine goes, by what it did lately."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...instance.lanes import INTERACTIVE, LANES
from ...instance.load_page import Load
from ..decoder.round import Round
from ..texts.text import GeneratedText
from .correction import Correction
from .lengths import Lengths, least_of
from .round_time import RoundTime

SOONER = 0.5
"""Of the least that rounds lately took, or would take, they may come to take so much less: a text that would be late
all the same is lost."""
MORE, FEWER = 0.3, 0.05
"""The weight of a round with more texts than those before, and that of one with fewer."""
LATELY_S = 60.0
"""For so long bulk leaves interactive texts like the one with the least time for a round the time to be whole."""
NEAR = 0.25
"""Rounds with such a part of these texts at least say what those with all of them would take."""


class Pace:
    """What is known of the speed of an engine. Not for several threads at a time: the engine asks under its lock, but
    for its own thread, which alone tells it."""

    def __init__(self) -> None:
        self._time, self._lengths = RoundTime(), Lengths()
        self.correction = {lane: Correction() for lane in LANES}
        """Lane -> what estimates of its texts are to be multiplied by."""
        self._least_s, self._until_s = float("inf"), 0.0
        """The least seconds that an interactive text that came had for each of its rounds, and until when that says
        something, on the clock of `time.monotonic`."""
        self._tokens, self._hypotheses = 0.0, 0.0
        """Of rounds that have as many texts as had room."""
        self.tokens_per_second = 0.0
        """Tokens that all texts together get each second, as rounds are now, in those that have as many as had room; 0
        where there was no round yet."""

    @property
    def round_s(self) -> float:
        """Seconds that a round lately took, without encoding; 0 where there was none since the engine had nothing to
        do."""
        return self._time.step_s

    def was_idle(self) -> None:
        """Forget what rounds took: the next ones have other texts."""
        self._time.forget()
        for correction in self.correction.values():
            correction.forget_half()

    def round_took(self, seconds: float, done: Round) -> None:
        """Learn from a round. One with fewer texts than others says that no more find room only where another had
        none."""
        self._time.took(seconds, done)
        newest = MORE if done.tokens > self._tokens else FEWER if done.is_full else 0.0
        newest = newest if self._tokens else 1.0
        self._tokens += newest * (done.tokens - self._tokens)
        self._hypotheses += newest * (done.hypotheses - self._hypotheses)
        if newest or (self._time.knows_sizes and done.hypotheses >= NEAR * self._hypotheses):
            self.tokens_per_second = self._tokens / (self._line()[0] + self._hypotheses * self._line()[1] or 1.0)

    def work(self, waiting: Sequence[GeneratedText]) -> Load:
        """The work that texts are which wait for room: the tokens that they will get, as `tokens_left` says."""
        return Load(tokens=sum(map(self.tokens_left, waiting)), rate=self.tokens_per_second, room=0.0)

    def has_ended(self, text: GeneratedText) -> None:
        """Learn from a text that came to its end."""
        self._lengths.has_ended(text)

    def took(self, text: GeneratedText, now_s: float) -> None:
        """Learn how long a text took from its arrival until it has as many tokens as it has; of one without any, how
        long it waited, if that is longer than was known."""
        if not text.estimate:
            return
        took_s, estimated_s = now_s - text.arrived_s, text.estimate.whole_s(max(text.rounds, 1))
        correction = self.correction[text.lane]
        if text.rounds or took_s > correction.factor(now_s) * estimated_s:
            correction.learn(took_s, estimated_s, now_s)

    def tokens_left(self, text: GeneratedText) -> int:
        """About how many rounds a text will still have, one for each token."""
        return self._lengths.left(text)

    def most_left(self, text: GeneratedText) -> int:
        """How many rounds a text will hardly exceed."""
        return self._lengths.most_left(text)

    def encoding_s(self, tokens: int) -> float:
        """About how many seconds it takes to encode so many tokens."""
        return tokens * self._time.token_s

    def rounds_s(self, rounds: float, hypotheses: float) -> float:
        """About how many seconds so many rounds take, without encoding, with so many hypotheses in all of them
        together."""
        return rounds * self._time.steps_s(0) + hypotheses * self._time.row_s

    def seconds_of_round(self, hypotheses: float) -> float:
        """About how many seconds a round with so many hypotheses takes, where a text like those that ended comes in for
        each that ends; 0 where nothing is known."""
        of_none_s, of_each_s = self._line()
        return of_none_s + hypotheses * of_each_s

    @property
    def few(self) -> float:
        """With fewer hypotheses than these a round is hardly shorter, for what it takes without any."""
        of_none_s, of_each_s = self._line()
        return of_none_s / of_each_s if of_each_s else 0.0

    def bears(self, text: GeneratedText, part: float, now_s: float, *, rounds: int = 0) -> float:
        """With how many hypotheses in each round a text is whole in such a part of its time, if it has so many rounds,
        or is no longer than nineteen of twenty; infinite where nothing is known of rounds."""
        may_take_s = part * (text.deadline_s - now_s) / (rounds or self.most_left(text))
        return self._hypotheses_in(may_take_s / self.correction[text.lane].factor(now_s))

    def came(self, text: GeneratedText, now_s: float) -> None:
        """Take note of an interactive text that comes, whether it is let in or not; not of one that would be late even
        alone."""
        round_s = (text.deadline_s - now_s) / self.most_left(text)
        if round_s <= 0 or self.bears(text, 1.0, now_s) < text.choice.beams:
            return
        if round_s <= self._least_s or now_s > self._until_s:
            self._least_s, self._until_s = round_s, now_s + LATELY_S

    def bears_who_come(self, part: float, now_s: float) -> float:
        """With how many hypotheses in each round an interactive text is whole in such a part of its time that comes
        now, if it has no less of it than those that lately came; infinite where none did."""
        if now_s > self._until_s:
            return float("inf")
        round_s = part * self._least_s / self.correction[INTERACTIVE].factor(now_s)
        return max(self._hypotheses_in(round_s), self.few)

    def _hypotheses_in(self, round_s: float) -> float:
        """How many hypotheses a round that takes so long has; infinite where nothing is known of rounds."""
        of_none_s, of_each_s = self._line()
        if not of_each_s or round_s == float("inf"):
            return float("inf")
        return max((round_s - of_none_s) / of_each_s, 0.0)

    def _line(self) -> tuple[float, float]:
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
