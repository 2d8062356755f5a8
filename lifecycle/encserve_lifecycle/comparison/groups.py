"""Groups of texts whose answers may differ in other ways: by length, and by script."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LENGTHS = ((8, "up to 8 tokens"), (32, "9 to 32 tokens"), (128, "33 to 128 tokens"))
LONGEST = "more than 128 tokens"
FEWEST = 20
"""A group of fewer texts is not shown: it could say nothing."""
_ALIASES = {"CJK": "Han", "HIRAGANA": "Kana", "KATAKANA": "Kana"}


def length_of(tokens: int) -> str:
    """The class of a text by the tokens that the network saw."""
    return next((name for most, name in LENGTHS if tokens <= most), LONGEST)


def script_of(text: str) -> str:
    """The script of most letters of a text, by their Unicode names; "none" without letters."""
    letters = Counter(unicodedata.name(letter, "UNKNOWN").split()[0] for letter in text if letter.isalpha())
    if not letters:
        return "none"
    name = letters.most_common(1)[0][0]
    return _ALIASES.get(name, name.capitalize())


def groups_of(texts: Sequence[str], tokens: NDArray[np.int32]) -> dict[str, NDArray[np.bool_]]:
    """Name of a group -> which texts are in it (n,); lengths from short to long, then scripts from common to rare."""
    lengths = np.array([length_of(int(count)) for count in tokens])
    scripts = np.array([script_of(text) for text in texts])
    named = [(name, lengths == name) for name in [*(name for _, name in LENGTHS), LONGEST]]
    named += [(name, scripts == name) for name, _ in Counter(scripts.tolist()).most_common()]
    return {name: members for name, members in named if members.sum() >= FEWEST}
