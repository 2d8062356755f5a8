"""Which runs of words become entities, where each word has scores of being the start, the end and the inside of one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .chosen_spans import Found
from .scores import Floats

PARTS = 3
"""Start, end and inside."""
_TOGETHER = 4_096
"""Runs that are looked at together, before each of those that are left is looked at by itself."""


def find_runs(scores: Floats, *, threshold: float, nested: bool, multi_label: bool) -> list[Found]:
    """Return the entities of one text, in the order in which they begin.

    A run of words may be an entity of a label where the start of its first word and the end of its last one are above
    the threshold and no inside of its words is below; its score is the smallest of all these. The surest run comes
    first, and one that overlaps a surer one is left out; where `nested`, only one that overlaps it and lies neither
    within nor around it. Of equal scores that comes first which begins first, then that of the first label, then the
    shortest. A run has its surest label, or with `multi_label` each that it may have.

    Args:
        scores: Of w words for each of C labels, (w, 3, C).
        threshold: What starts and ends must be above; it is above 0.
        nested: Whether entities may lie in each other.
        multi_label: Whether a run may have several labels.
    """
    starting = np.flatnonzero((scores[:, 0] > np.float32(threshold)).any(1))  # (s,) words
    best, surest = _surest(scores, starting, threshold)  # (s, w)
    rows, lasts = np.nonzero(best)
    order = np.lexsort((lasts, surest[rows, lasts], rows, -best[rows, lasts]))
    rows, lasts = rows[order], lasts[order]
    free = np.ones_like(best, bool)  # (s, w) runs that may still stand beside those that are entities
    found: list[Found] = []
    for begin in range(0, len(order), _TOGETHER):
        some = slice(begin, begin + _TOGETHER)
        left = begin + np.flatnonzero(free[rows[some], lasts[some]])
        for row, last in zip(rows[left].tolist(), lasts[left].tolist(), strict=True):
            if not free[row, last]:
                continue
            first, within = int(starting[row]), int(np.searchsorted(starting, last, "right"))
            if nested:
                free[:row, first:last] = False
                free[row + 1 : within, last + 1 :] = False
            else:
                free[:within, first:] = False
            if multi_label:
                own = _scores_of(scores, first, last, threshold)
                found += [Found(first, last, label, float(own[label])) for label in np.flatnonzero(own).tolist()]
            else:
                found.append(Found(first, last, int(surest[row, last]), float(best[row, last])))
    return sorted(found, key=lambda each: (each.first, -each.score, each.label, each.last))


def _surest(scores: Floats, starting: NDArray[np.intp], threshold: float) -> tuple[Floats, NDArray[np.uint8]]:
    """Return the highest score of each run, 0 where it is none, and the label of that, both (s, w): by the number of
    its first word among the s `starting` ones, and by its last word."""
    words, _, labels = scores.shape
    best = np.zeros((len(starting), words), np.float32)
    surest = np.zeros(best.shape, np.uint8)
    for label in range(labels):
        starts, ends, insides = scores[..., label].T
        rows = np.flatnonzero(starts[starting] > np.float32(threshold))
        if not len(rows):
            continue
        firsts = starting[rows, None]  # (r, 1)
        behind = np.arange(words) >= firsts  # (r, w)
        least = np.minimum.accumulate(np.where(behind, insides, np.float32(np.inf)), 1)
        # The library compares starts and ends as 32-bit numbers, and insides as 64-bit ones.
        may_be = behind & (least.astype(np.float64) >= threshold) & (ends > np.float32(threshold))
        own = np.where(may_be, np.minimum(np.minimum(least, ends), starts[firsts]), np.float32(0))
        surer = own > best[rows]
        surest[rows] = np.where(surer, label, surest[rows])
        best[rows] = np.where(surer, own, best[rows])
    return best, surest


def _scores_of(scores: Floats, first: int, last: int, threshold: float) -> Floats:
    """Return the score of one run for each label, (C,); 0 where it is none."""
    start, end, least = scores[first, 0], scores[last, 1], scores[first : last + 1, 2].min(0)
    may_be = (np.minimum(start, end) > np.float32(threshold)) & (least.astype(np.float64) >= threshold)
    own: Floats = np.where(may_be, np.minimum(np.minimum(least, start), end), np.float32(0))
    return own
