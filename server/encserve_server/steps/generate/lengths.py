"""How long texts become, by how long those became that ended."""

from __future__ import annotations

from collections import deque

import numpy as np

from .text import LENGTH, GeneratedText

LATELY = 256
"""Of so many texts that ended last it is known how long they became."""
KEPT_OF_SOURCES = 0.99
"""The weight of all texts that ended before beside the next one, in how long sources are."""
NINETEEN_OF_TWENTY = 95
"""The percentile of lengths that texts hardly exceed."""


class Lengths:
    """How many tokens texts get beyond those that they get in any case. Lengths carry over from one `max_new_tokens` to
    another, and no shares of it do. One that was cut says that texts become so long at least, and nothing of longer
    ones as long as others ended by themselves. Not for several threads at a time."""

    def __init__(self) -> None:
        self._ended = deque[tuple[int, int, bool]](maxlen=LATELY)
        """Of each text how many it had, how many it could have had, and whether it was cut."""
        self._known: dict[int, tuple[float, float]] = {}
        """By how many a text could have: the mean, and what hardly one exceeds."""
        self._source_tokens, self._rounds = 0.0, 0.0

    def has_ended(self, text: GeneratedText) -> None:
        """Learn from a text that came to its end: of the rounds that it need not have had, how many it had."""
        least = least_of(text)
        if could := text.max_new_tokens - least:
            had = max(text.rounds - least, 0)  # a string of `stop` may end it before
            self._ended.append((had, could, text.finish == LENGTH))
            self._known.clear()
        self._source_tokens = KEPT_OF_SOURCES * self._source_tokens + len(text.source)
        self._rounds = KEPT_OF_SOURCES * self._rounds + text.rounds

    def left(self, text: GeneratedText) -> int:
        """About how many rounds a text will still have, one for each token: those that it must have, and as many of the
        others as texts before had; of these none, as long as none has ended."""
        return self._left(text, 0)

    def most_left(self, text: GeneratedText) -> int:
        """How many rounds it will have at most, if it is no longer than nineteen of twenty texts become."""
        return self._left(text, 1)

    @property
    def new_tokens(self) -> float:
        """Tokens of new texts that come to be encoded for each round of a text, where each that ends makes room for
        another such text."""
        return self._source_tokens / self._rounds if self._rounds else 0.0

    def _left(self, text: GeneratedText, which: int) -> int:
        least = least_of(text)
        could = text.max_new_tokens - least
        if could not in self._known:
            self._known[could] = self._beyond(could)
        return max(least + round(self._known[could][which]) - text.rounds, 1)

    def _beyond(self, could: int) -> tuple[float, float]:
        if not could or not self._ended:
            return 0.0, 0.0
        tell = [had for had, most, cut in self._ended if not cut or most >= could] or [had for had, *_ in self._ended]
        lengths = np.minimum(tell, could)
        return float(lengths.mean()), float(np.percentile(lengths, NINETEEN_OF_TWENTY))


def least_of(text: GeneratedText) -> int:
    """The tokens that a text gets in any case."""
    return min(max(text.choice.min_new_tokens, 1), text.max_new_tokens)
