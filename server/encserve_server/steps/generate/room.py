"""How many texts have room together, by the bytes of what is kept of them and of their logits."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence

from ..request.options import InvalidArgument
from .limits import EngineLimits
from .network import Shape
from .pace import hypotheses_of
from .rows import tokens_of_cache
from .text import GeneratedText


class Room:
    """What an engine may have under way."""

    def __init__(self, shape: Shape, limits: EngineLimits) -> None:
        self._shape, self._limits = shape, limits

    def check(self, text: GeneratedText) -> None:
        """Refuse a text that could never be decoded here. Raises InvalidArgument."""
        needed = self._bytes([text])
        if needed > self._limits.cache_bytes:
            beams = f" and num_beams {text.choice.beams}" if text.choice.beams > 1 else ""
            raise InvalidArgument(
                f"a text of {len(text.source)} tokens with max_new_tokens {text.max_new_tokens}{beams} needs {needed} "
                f"bytes of cache; cache_bytes is {self._limits.cache_bytes}"
            )

    def fits(self, texts: Sequence[GeneratedText]) -> bool:
        """Whether so many texts may be decoded together; one alone may."""
        logits = hypotheses_of(texts) * self._shape.bytes_of_logits
        fitting = self._bytes(texts) <= self._limits.cache_bytes and logits <= self._limits.logits_bytes
        return len(texts) == 1 or (fitting and len(texts) <= self._limits.max_rows)

    def free(self, active: Sequence[GeneratedText], waiting: Sequence[GeneratedText]) -> int:
        """Return how many of the texts that wait, in their order, have room beside those that are decoded."""
        low, high = 0, 1
        while high <= len(waiting) and self.fits([*active, *waiting[:high]]):
            low, high = high, 2 * high
        high = min(high, len(waiting) + 1)  # where so many have no room, more have none
        return low + bisect(range(low + 1, high), False, key=lambda count: not self.fits([*active, *waiting[:count]]))

    def _bytes(self, texts: Sequence[GeneratedText]) -> int:
        return tokens_of_cache(texts) * self._shape.bytes_per_token
