"""Which spans of words become entities, where each span has a score for each label."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..scores import Floats


class Found(NamedTuple):
    """A span of words with a label."""

    first: int
    last: int
    """Both are words of it."""
    label: int
    score: float


def find_spans(scores: Floats, *, threshold: float, nested: bool, multi_label: bool) -> list[Found]:
    """Return the entities of one text, in the order in which they begin.

    The surest span comes first, and one that overlaps a surer one is left out; where `nested`, only one that overlaps
    it and lies neither within nor around it. A span has its surest label, or with `multi_label` each whose score is
    above the threshold.

    Args:
        scores: Of the spans of 1 to K words that begin at each of w words, for each of C labels, (w, K, C).
        threshold: What a score must be above.
        nested: Whether entities may lie in each other.
        multi_label: Whether a span may have several labels.
    """
    words, widths, _ = scores.shape
    best = scores.max(2)  # (w, K)
    inside = np.arange(words)[:, None] + np.arange(widths) < words
    firsts, lengths = np.nonzero((best > np.float32(threshold)) & inside)
    order = np.argsort(-best[firsts, lengths], kind="stable")
    taken = Taken(words, widths, nested=nested)
    found: list[Found] = []
    for first, length in zip(firsts[order].tolist(), lengths[order].tolist(), strict=True):
        if taken.takes(first, length):
            own = scores[first, length]
            labels = np.flatnonzero(own > np.float32(threshold)) if multi_label else own.argmax(keepdims=True)
            found += [Found(first, first + length, int(label), float(own[label])) for label in labels]
    found.sort(key=lambda each: (-each.score, each.first, each.last, each.label))
    return sorted(found, key=lambda each: each.first)


class Taken:
    """The spans of a text that are entities already. Asking costs no more than the words of the longest span."""

    def __init__(self, words: int, widths: int, *, nested: bool) -> None:
        self._widths, self._nested = widths, nested
        self._covered = [False] * words
        self._from = [0] * words
        """For each word the spans that begin there: bit n is that of n + 1 words."""

    def takes(self, first: int, length: int) -> bool:
        """Return whether the span of `length` + 1 words from `first` on may stand beside the others; then add it."""
        last = first + length
        if not self._nested:
            if any(self._covered[first : last + 1]):
                return False
            self._covered[first : last + 1] = [True] * (length + 1)
            return True
        for before in range(max(0, first - self._widths + 1), first):  # which end within it
            if self._from[before] >> (first - before) & ((1 << length) - 1):
                return False
        if any(self._from[within] >> (last - within + 1) for within in range(first + 1, last + 1)):  # or behind it
            return False
        self._from[first] |= 1 << length
        return True
