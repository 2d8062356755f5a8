"""What comes before a text that comes now: sums over those that are decoded and those that wait, which a request that
may wait adds its own to, so that the next one costs no look at each of them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from ..texts.text import GeneratedText
from .pace import Pace
from .room import Together


class Ahead:
    """The texts that are decoded, and those that wait, in their order.

    Args:
        pace: of the engine.
        together: the texts that are decoded, which is changed.
        decoded: the same.
    """

    def __init__(self, pace: Pace, together: Together, decoded: Sequence[GeneratedText]) -> None:
        self._pace, self._together = pace, together
        self.decoded = self.rows = self.texts = len(decoded)
        """The texts that are decoded; those that have room together; and all."""
        self.hypotheses = self.hypotheses_decoded = together.hypotheses
        """The hypotheses of all texts, and of those that are decoded."""
        self.waiting_tokens, self.source_tokens = 0, 0
        """The tokens that those that wait will probably get, and those of their sources."""
        self.decoded_tokens = sum(map(pace.tokens_left, decoded))
        """The tokens that those that are decoded will probably still get."""

    def then(self, texts: Sequence[GeneratedText]) -> Ahead:
        """Return the same with so many more that wait."""
        ahead = copy(self)
        ahead._together = self._together.copy()
        for text in texts:
            ahead._add(text)
        return ahead

    @property
    def have_room(self) -> bool:
        """Whether all of them have room together."""
        return self.rows == self.texts

    def _add(self, text: GeneratedText) -> None:
        if self.have_room and self._together.fits(text):
            self._together.take(text)
            self.rows += 1
        self.texts += 1
        self.hypotheses += text.choice.beams
        self.waiting_tokens += self._pace.tokens_left(text)
        self.source_tokens += len(text.source)
