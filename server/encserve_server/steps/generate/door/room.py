"""How many texts have room together, by the bytes of what is kept of them and of their logits."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from ...request.options import InvalidArgument
from ..decoder.cache import places_for
from ..decoder.network import Shape
from ..texts.text import GeneratedText
from .limits import EngineLimits


class Room:
    """What an engine may have under way."""

    def __init__(self, shape: Shape, limits: EngineLimits) -> None:
        self._shape, self._limits = shape, limits

    def check(self, text: GeneratedText) -> None:
        """Refuse a text that could never be decoded here. Raises InvalidArgument."""
        needed = _tokens(_with([], text)) * self._shape.bytes_per_token
        if needed > self._limits.cache_bytes:
            beams = f" and num_beams {text.choice.beams}" if text.choice.beams > 1 else ""
            raise InvalidArgument(
                f"a text of {len(text.source)} tokens with max_new_tokens {text.max_new_tokens}{beams} needs {needed} "
                f"bytes of cache; cache_bytes is {self._limits.cache_bytes}"
            )

    def beside(self, active: Sequence[GeneratedText]) -> Together:
        """Return the texts that are decoded, for others to be taken beside them."""
        together = Together(self._shape, self._limits)
        for text in active:
            together.take(text)
        return together


class Together:
    """Texts that are decoded together, taken one after the other. In each cache, of those with as many hypotheses, a
    row has as many places as the longest of it needs."""

    def __init__(self, shape: Shape, limits: EngineLimits) -> None:
        self._shape, self._limits = shape, limits
        self._count = self.hypotheses = self._tokens = 0
        self._caches: dict[int, list[int]] = {}
        """By hypotheses of a text: these, the texts, and the tokens of the longest source and of the longest text."""

    def fits(self, text: GeneratedText) -> bool:
        """Whether one more has room; the first has."""
        logits = (self.hypotheses + text.choice.beams) * self._shape.bytes_of_logits
        cache = self._with(text)[1] * self._shape.bytes_per_token
        fitting = cache <= self._limits.cache_bytes and logits <= self._limits.logits_bytes
        return not self._count or (fitting and self._count < self._limits.max_rows)

    def take(self, text: GeneratedText) -> None:
        """Take one more."""
        self._count, self.hypotheses = self._count + 1, self.hypotheses + text.choice.beams
        self._caches[text.choice.beams], self._tokens = self._with(text)

    def copy(self) -> Together:
        """Return the same, for others to be taken beside them."""
        same = copy(self)
        same._caches = dict(self._caches)  # whose lists are never changed
        return same

    def _with(self, text: GeneratedText) -> tuple[list[int], int]:
        """The cache of a text with it, and for how many tokens all of them have places then."""
        before = self._caches.get(text.choice.beams, [])
        cache = _with(before, text)
        return cache, self._tokens - _tokens(before) + _tokens(cache)


def _with(cache: Sequence[int], text: GeneratedText) -> list[int]:
    _, count, source, most = cache or (0, 0, 0, 0)
    return [text.choice.beams, count + 1, max(source, len(text.source)), max(most, text.max_new_tokens)]


def _tokens(cache: Sequence[int]) -> int:
    """For how many tokens the rows of a cache have places, at most."""
    beams, count, source, most = cache or (0, 0, 0, 0)
    return count * (places_for(source) + beams * places_for(most)) if count else 0
