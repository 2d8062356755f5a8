"""How long texts become, by how long those became that ended."""

from __future__ import annotations

from .text import GeneratedText

KEPT = 0.9999
"""The weight of all texts that ended before in how long texts become, for each token that one more could have had."""
KEPT_OF_SOURCES = 0.99
"""The weight of all texts that ended before beside the next one, in how long sources are."""
NINETEEN_OF_TWENTY = 1.8
"""So many standard deviations above the mean is what nineteen of twenty texts do not exceed, about."""


class Lengths:
    """What part of its `max_new_tokens` a text gets. A text that ends after one token, as questions of health do, says
    nothing of how long others become. One thread tells it; others may read it meanwhile."""

    def __init__(self) -> None:
        self._made, self._most, self._squares = 0.0, 0.0, 0.0
        self._source_tokens, self._rounds = 0.0, 0.0

    def has_ended(self, text: GeneratedText) -> None:
        """Learn from a text that came to its end: of the rounds that it need not have had, how many it had."""
        least = least_of(text)
        could, had = text.max_new_tokens - least, max(text.rounds - least, 0)  # a string of `stop` may end it before
        kept = KEPT**could
        self._made = kept * self._made + had
        self._squares = kept * self._squares + (had**2 / could if could else 0.0)
        self._most = kept * self._most + could
        self._source_tokens = KEPT_OF_SOURCES * self._source_tokens + len(text.source)
        self._rounds = KEPT_OF_SOURCES * self._rounds + text.rounds

    def left(self, text: GeneratedText) -> int:
        """About how many rounds a text will still have, one for each token: those that it must have, and such a part of
        the others as texts before had of theirs; of these none, as long as none has ended."""
        return self._left(text, self._part)

    def most_left(self, text: GeneratedText) -> int:
        """How many rounds it will have at most, if it is no longer than nineteen of twenty texts become."""
        part = self._part
        spread = max(self._squares / self._most - part**2, 0.0) ** 0.5 if self._most else 0.0
        return self._left(text, min(part + NINETEEN_OF_TWENTY * spread, 1.0))

    @property
    def new_tokens(self) -> float:
        """Tokens of new texts that come to be encoded for each round of a text, where each that ends makes room for
        another such text."""
        return self._source_tokens / self._rounds if self._rounds else 0.0

    @property
    def _part(self) -> float:
        return self._made / self._most if self._most else 0.0

    @staticmethod
    def _left(text: GeneratedText, part: float) -> int:
        least = least_of(text)
        return max(least + round(part * (text.max_new_tokens - least)) - text.rounds, 1)


def least_of(text: GeneratedText) -> int:
    """The tokens that a text gets in any case."""
    return min(max(text.choice.min_new_tokens, 1), text.max_new_tokens)
