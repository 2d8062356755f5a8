"""Whether the nearest texts of a text stay its nearest: what a search asks of a precision."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from .corpus import PASSAGES

NEAREST = 10
TEXTS = 200
"""Among which each text has its nearest ones."""
_TIE = 1e-6
"""Cosines this close are equal: rounding in FP32 decides which comes first."""


def related_texts(count: int = TEXTS, *, seed: int = 2) -> list[str]:
    """`count` texts, each a few runs of words out of the corpus: some share a topic, some half of their words."""
    rng = random.Random(seed)
    texts: dict[str, None] = {}
    while len(texts) < count:
        runs = []
        for passage in rng.sample(PASSAGES, rng.randint(1, 3)):
            words = passage.split()
            begin = rng.randrange(max(1, len(words) - 3))
            runs.append(" ".join(words[begin : begin + rng.randint(3, 12)]))
        texts[" ".join(runs)] = None
    return list(texts)


def overlap(vectors: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each of n texts the share of its nearest by `vectors` (n, H) that are nearest by `reference` (n, H): (n,).

    Both hold vectors of length 1. A text that is as near as the last of the reference's nearest counts as one.
    """
    ours, theirs = vectors @ vectors.T, reference @ reference.T  # (n, n)
    np.fill_diagonal(ours, -np.inf)
    np.fill_diagonal(theirs, -np.inf)
    nearest = min(NEAREST, len(ours) - 1)
    chosen = np.argpartition(-ours, nearest - 1, axis=1)[:, :nearest]
    last = np.partition(theirs, -nearest, axis=1)[:, -nearest]  # (n,)
    return (np.take_along_axis(theirs, chosen, axis=1) >= last[:, None] - _TIE).mean(1)  # type: ignore[no-any-return]
