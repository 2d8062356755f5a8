"""Where the sentences of a text stand, by its punctuation alone: no language is known, and no abbreviation."""

from __future__ import annotations

import re
from collections.abc import Iterator

_END = re.compile(
    r"(?:(?<![.!?\u2026])[.!?\u2026]+[\"'\u201d\u2019)\]\u00bb]*(?=\s)"
    r"|[\u3002\uff01\uff1f]+[\u201d\u2019\u300d\u300f\uff09]*|\n)"
)
"""What ends a sentence: marks of European writing before white space, with quotes and brackets that close behind them;
full-width marks, which no space follows; and a line's end. A run of marks is looked at from its first one
alone, so that the work grows with the text and not with its square."""


def sentences_of(text: str) -> Iterator[tuple[int, int]]:
    """Return where each sentence begins and ends, in order, without the white space around it; none of white space
    alone."""
    begin = 0
    for end in (*(match.end() for match in _END.finditer(text)), len(text)):
        sentence = text[begin:end]
        stripped = sentence.strip()
        if stripped:
            first = begin + len(sentence) - len(sentence.lstrip())
            yield first, first + len(stripped)
        begin = end
