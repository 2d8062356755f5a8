"""Which runs of words become entities, where each word has scores of being the start, the end and the inside of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..scores import Floats
from .chosen_spans import Found

PARTS = 3
"""Start, end and inside."""
_TOGETHER = 1_024
"""Runs that are looked at together, the surest first."""


def find_runs(scores: Floats, *, threshold: float, nested: bool, multi_label: bool) -> list[Found]:
    """Return the entities of one text, in the order in which they begin.

    A run of words may be an entity of a label where the start of its first word and the end of its last one are above
    the threshold and no inside of its words, the first and the last among them, is below; its score is the smallest of
    all these. The surest run comes first, and one that overlaps a surer one is left out; where `nested`, only one that
    overlaps it and lies neither within nor around it. Of equal scores that comes first which begins first, then that of
    the first label, then the shortest. A run has its surest label, or with `multi_label` each that it may have.

    The work grows with the square of the words and with the labels, however many runs are above the threshold, which
    the caller chooses.

    Args:
        scores: Of w words for each of C labels, (w, 3, C).
        threshold: What starts and ends must be above; it is above 0.
        nested: Whether entities may lie in each other.
        multi_label: Whether a run may have several labels.
    """
    runs = [*_runs(scores, threshold)]
    if not runs:
        return []
    firsts, lasts, surest, best = map(np.concatenate, zip(*runs, strict=True))
    order = np.lexsort((surest, firsts, -best))  # those of one first word, the shorter ones first, stay in this order
    firsts, lasts, surest, best = firsts[order], lasts[order], surest[order], best[order]
    beside = Beside(len(scores), nested=nested)
    found: list[Found] = []
    for begin in range(0, len(order), _TOGETHER):
        left = np.arange(begin, min(begin + _TOGETHER, len(order)))
        while len(left := left[beside.admits(firsts[left], lasts[left])]):
            run, left = left[0], left[1:]
            first, last = int(firsts[run]), int(lasts[run])
            beside.add(first, last)
            if multi_label:
                own = _scores_of(scores, first, last, threshold)
                found += [Found(first, last, label, float(own[label])) for label in np.flatnonzero(own).tolist()]
            else:
                found.append(Found(first, last, int(surest[run]), float(best[run])))
    return sorted(found, key=lambda each: (each.first, -each.score, each.label, each.last))


class Beside:
    """Which runs of w words may stand beside those that are entities: two numbers for each word say it. With an entity
    from f to l, a run from within it may not end behind l, nor one that ends within it begin before f; and where
    entities may not be nested, none that begins at l or before it may reach f."""

    def __init__(self, words: int, *, nested: bool) -> None:
        self._nested = nested
        self._most = np.full(words, words)
        """The last word that a run from each word on may have."""
        self._least = np.zeros(words, np.intp)
        """The first word that a run up to each word may have."""

    def admits(self, firsts: NDArray[Any], lasts: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which of r runs may still be entities, (r,)."""
        may_be: NDArray[np.bool_] = (lasts <= self._most[firsts]) & (firsts >= self._least[lasts])
        return may_be

    def add(self, first: int, last: int) -> None:
        """Take a run for an entity."""
        if self._nested:
            np.minimum(self._most[first + 1 : last + 1], last, out=self._most[first + 1 : last + 1])
            np.maximum(self._least[first:last], first, out=self._least[first:last])
        else:
            np.minimum(self._most[: last + 1], first - 1, out=self._most[: last + 1])


def _runs(scores: Floats, threshold: float) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield the runs of one word, then those of two words and so on, until none goes on: their first words, their last
    words, their labels, each the surest one, and their scores; the first words are in order.

    Beside each run stands the smallest of its start and insides for each label: (r, C) numbers at a time.
    """
    # The library compares starts and ends as 32-bit numbers, and insides as 64-bit ones.
    may_be = scores > np.float32(threshold)
    may_be[:, 2] = scores[:, 2].astype(np.float64) >= threshold
    starts, ends, insides = np.ascontiguousarray(np.where(may_be, scores, np.float32(0)).transpose(1, 0, 2))  # (w, C)
    firsts = lasts = np.flatnonzero(starts.any(1))  # (r,)
    least = starts[firsts]  # (r, C)
    while len(firsts):
        np.minimum(least, insides.take(lasts, 0), out=least)
        own = np.minimum(least, ends.take(lasts, 0))
        label = own.argmax(1)  # the first of equal ones
        best = own[np.arange(len(own)), label]
        are = best > 0
        yield firsts[are], lasts[are], label[are].astype(np.uint8), best[are]
        going_on = lasts < len(scores) - 1
        if not are.all():
            going_on &= (least > 0).any(1)
        firsts, lasts, least = firsts[going_on], lasts[going_on] + 1, least[going_on]


def _scores_of(scores: Floats, first: int, last: int, threshold: float) -> Floats:
    """Return the score of one run for each label, (C,); 0 where it is none."""
    start, end, least = scores[first, 0], scores[last, 1], scores[first : last + 1, 2].min(0)
    may_be = (np.minimum(start, end) > np.float32(threshold)) & (least.astype(np.float64) >= threshold)
    own: Floats = np.where(may_be, np.minimum(np.minimum(least, start), end), np.float32(0))
    return own
