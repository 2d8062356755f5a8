"""What two texts share: runs of words, by which one is told from a copy of the other with another beginning."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TypeAlias

WORDS, CHARACTERS = 5, 10
"""Of a run: words where there are spaces, else letters, which are about as much."""
_WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""How Unicode begins the names of letters between whose words no spaces stand."""

Run: TypeAlias = tuple[str, ...]


def runs_of(text: str) -> set[Run]:
    """Every run of `WORDS` words of a text, or of `CHARACTERS` letters of a script without spaces; a shorter text is
    one run. Case and punctuation do not count."""
    units, length = words_of(text), WORDS
    letters = "".join(units)
    if sum(_stands_alone(each) for each in letters) > len(letters) // 2:
        units, length = list(letters), CHARACTERS
    return {tuple(units[begin : begin + length]) for begin in range(max(1, len(units) - length + 1))}


def words_of(text: str) -> list[str]:
    """The words of a text, marks and digits among their letters; the text itself where it has none."""
    spelled = "".join(each if unicodedata.category(each)[0] in "LMN" else " " for each in text.casefold())
    return [word for word in spelled.split() if any(unicodedata.category(each)[0] in "LN" for each in word)] or [text]


def groups_by_overlap(texts: Sequence[str]) -> list[list[str]]:
    """The texts in groups of which no two share a run, in the order of their first texts."""
    leader = list(range(len(texts)))

    def leader_of(index: int) -> int:
        while leader[index] != index:
            leader[index] = leader[leader[index]]
            index = leader[index]
        return index

    first_with: dict[Run, int] = {}
    for index, text in enumerate(texts):
        for run in runs_of(text):
            one, other = leader_of(first_with.setdefault(run, index)), leader_of(index)
            leader[max(one, other)] = min(one, other)
    groups: dict[int, list[str]] = {}
    for index, text in enumerate(texts):
        groups.setdefault(leader_of(index), []).append(text)
    return list(groups.values())


def _stands_alone(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(_WITHOUT_SPACES)
