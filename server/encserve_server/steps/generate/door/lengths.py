"""How long texts become, by how long those became that ended."""

from __future__ import annotations

from collections import deque
from itertools import groupby
from operator import itemgetter

from ..texts.text import LENGTH, GeneratedText

LATELY = 256
"""Of so many texts that ended last it is known how long they became."""
KEPT_OF_SOURCES = 0.99
"""The weight of all texts that ended before beside the next one, in how long sources are."""
FEW, EACH = 32, 8
"""Estimates are made anew after every end while no more than so many are known, and then after every eighth: they are
made under the lock of the engine."""
FINE = 8
"""How many tokens texts may have is rounded up to one of so many sizes between a power of two and the next: an estimate
is made for each size, and not for each `max_new_tokens`, of which the texts that wait may have hundreds."""
NINETEEN_OF_TWENTY = 0.95
"""The share of texts whose length others hardly exceed."""


class Lengths:
    """How many tokens texts get beyond those that they get in any case. Lengths carry over from one `max_new_tokens` to
    another, and no shares of it do. One that was cut says that texts become so long at least: about as long as
    those that became longer. Not for several threads at a time."""

    def __init__(self) -> None:
        self._ended = deque[tuple[int, int, bool]](maxlen=LATELY)
        """Of each text how many it had, how many it could have had, and whether it was cut."""
        self._count = 0
        self._groups: list[tuple[int, list[tuple[int, bool]]]] = []
        """The same, the longest first: how many those of one length had, and of each how many it could have had, and
        whether it was cut; empty where a text has ended since that counts."""
        self._known: dict[int, tuple[float, float]] = {}
        """By how many a text could have, rounded up: the mean, and what hardly one exceeds."""
        self._source_tokens, self._rounds = 0.0, 0.0

    def has_ended(self, text: GeneratedText) -> None:
        """Learn from a text that came to its end: of the rounds that it need not have had, how many it had."""
        least = least_of(text)
        if could := text.max_new_tokens - least:
            self._ended.append((max(text.rounds - least, 0), could, text.finish == LENGTH))
            self._count += 1
            if self._count <= FEW or self._count % EACH == 0:
                self._known.clear()
                self._groups = []
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
        size = _size_of(could)
        if size not in self._known:
            self._known[size] = self._beyond(size)
        return max(least + min(round(self._known[size][which]), could) - text.rounds, 1)

    def _beyond(self, could: int) -> tuple[float, float]:
        """The mean of how many tokens texts had that could have had so many, and what hardly one exceeds."""
        if not could or not self._ended:
            return 0.0, 0.0
        if not self._groups:
            self._groups = [
                (had, [(most, cut) for _, most, cut in alike])
                for had, alike in groupby(sorted(self._ended, reverse=True), key=itemgetter(0))
            ]
        lengths, total = list[float](), 0.0
        for had, alike in self._groups:
            longer = total / len(lengths) if lengths else had
            own = [min(longer if cut and most < could else had, could) for most, cut in alike]
            lengths += own
            total += sum(own)
        lengths.sort()
        place = NINETEEN_OF_TWENTY * (len(lengths) - 1)
        below, above = lengths[int(place)], lengths[min(int(place) + 1, len(lengths) - 1)]
        return total / len(lengths), below + (place - int(place)) * (above - below)


def _size_of(could: int) -> int:
    """The least size that is no less than so many tokens."""
    step = 1 << max(could.bit_length() - FINE.bit_length(), 0)
    return -(-could // step) * step


def least_of(text: GeneratedText) -> int:
    """The tokens that a text gets in any case: a string of `stop` may end it before it has `min_new_tokens`."""
    return 1 if text.pieces.may_stop else min(max(text.choice.min_new_tokens, 1), text.max_new_tokens)
