"""The words of a text, as GLiNER2 finds them."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator

_MARKS = "".join(sign for sign in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(sign).startswith("M"))
_LETTER = rf"[\w{_MARKS}\u200c\u200d]"
"""Letters, digits and underscores, what is written over them, and what joins them or keeps them apart."""
_LINK = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9._%+-]*", re.IGNORECASE)
_HOST = re.compile(r"@[a-z0-9.-]+\.[a-z]{2,}", re.IGNORECASE)
_OTHER = re.compile(rf"@[a-z0-9_]+|{_LETTER}+(?:[-_]{_LETTER}+)*|\S", re.IGNORECASE)
_SPACE = re.compile(r"\s*")


def words_of(text: str) -> Iterator[tuple[str, int, int]]:
    """Return the words of a text in lower case, each with where it begins and ends in the text as it is: a link, an
    address of mail, a name behind @, letters and digits with hyphens and underscores between them, or any other sign by
    itself.

    A rule in one expression would read the rest of a run of letters and dots at each of its words, in search of the @
    of an address: of a long one hours. What follows a run is looked at once.
    """
    place, run, host = 0, 0, None
    while (begin := _end(_SPACE, text, place)) < len(text):
        if begin >= run:
            run = _end(_NAME, text, begin)
            host = _HOST.match(text, run) if run > begin else None
        if link := _LINK.match(text, begin):
            place = link.end()
        elif host:
            place = host.end()
        else:
            place = _end(_OTHER, text, begin)
        yield text[begin:place].lower(), begin, place


def _end(pattern: re.Pattern[str], text: str, begin: int) -> int:
    found = pattern.match(text, begin)
    assert found is not None
    return found.end()
