"""The words of a text, as GLiNER finds them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

_WORD = re.compile(r"\w+(?:[-_]\w+)*|\S")


def words_of(text: str, most: int | None = None) -> Iterator[tuple[str, int, int]]:
    """Return the words of a text, at most so many, each with where it begins and ends: letters and digits with hyphens
    and underscores between them, or any other sign by itself."""
    for found in islice(_WORD.finditer(text), most):
        yield found.group(), found.start(), found.end()
