"""Words around what a pipeline finds: it labels pieces of words, and what is left of a name is a name."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from encserve_gateway.samples.patterns import Span

_LETTERS = r"(?:[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[\u0300-\u036f])+"
"""Letters and digits with their accents, of scripts that put something between words: in the others (Thai, Lao,
Burmese, Khmer, Japanese, Chinese) it would be the sentence."""
_WORD = re.compile(rf"{_LETTERS}(?:['’‐‑-]{_LETTERS})*")
"""O'Brien and Müller-Meier are one."""


def whole_words(text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans with all of the words in which they begin and end."""
    words = [found.span() for found in _WORD.finditer(text)]
    begins = [begin for begin, _ in words]

    def word_at(place: int) -> tuple[int, int]:
        begin, end = words[bisect_right(begins, place) - 1] if words else (0, 0)
        return (begin, end) if begin <= place < end else (place, place + 1)

    return [
        Span(word_at(span.start)[0], word_at(span.end - 1)[1], span.label) if span.start < span.end else span
        for span in spans
    ]
