"""What SentencePiece makes of a text before it is cut into pieces, to the character."""

from __future__ import annotations

import re
from collections.abc import Mapping

SPACE = "\u2581"
"""Stands for a space in pieces."""


class Normalization:
    """The replacements of a model of SentencePiece, of which the longest that fits is taken, and its rules for spaces.

    Args:
        replacements: characters -> what stands in their place.
        adds_space: whether a space is put before a text.
        drops_spaces: whether spaces at the ends, and all but one of several, are dropped.
    """

    def __init__(self, replacements: Mapping[str, str], *, adds_space: bool, drops_spaces: bool) -> None:
        self._replacements = dict(replacements)
        self._longest: dict[str, int] = {}
        for key in self._replacements:
            self._longest[key[0]] = max(self._longest.get(key[0], 0), len(key))
        self._adds_space, self._drops_spaces = adds_space, drops_spaces
        self._begins = re.compile(f"[{re.escape(''.join(self._longest))}]") if self._longest else None

    @property
    def puts_one_space(self) -> bool:
        """Whether the first word of a text has one space before it, however many the text begins with."""
        return self._adds_space and self._drops_spaces

    def normalize_str(self, text: str) -> str:
        """Return a text with its replacements alone."""
        if self._begins is None:
            return text
        made, done = [], 0
        while (found := self._begins.search(text, done)) is not None:
            begin = found.start()
            made.append(text[done:begin])
            done = begin + 1
            replaced = text[begin]
            for size in range(self._longest[replaced], 0, -1):
                if (other := self._replacements.get(text[begin : begin + size])) is not None:
                    replaced, done = other, min(begin + size, len(text))
                    break
            made.append(replaced)
        return "".join([*made, text[done:]])

    def apply(self, text: str) -> str:
        """Return what is cut into pieces, where `SPACE` stands for each space."""
        if not text:
            return ""
        text = self.normalize_str(text)
        if self._drops_spaces:
            text = re.sub(" +", " ", text.lstrip(" "))
        text = (" " if self._adds_space else "") + text
        text = text.replace(" ", SPACE)
        return text.rstrip(SPACE) if self._drops_spaces else text
