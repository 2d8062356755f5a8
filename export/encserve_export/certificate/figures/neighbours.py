"""Whether the nearest texts of a text stay its nearest: what a search asks of a precision."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from encserve_export.reference.messages import Answer
from encserve_export.texts.parts import Part, corpus_of

from .figure import Figure
from .parity import unit

NEAREST = 10
_TIE = 1e-6
"""Cosines this close are equal: rounding in FP32 decides which comes first."""


def related_texts(count: int, *, seed: int = 2) -> list[str]:
    """`count` held-out texts at most, each with a few others about its very subject among them."""
    return [each.text for each in corpus_of(Part.CERTIFICATE).related(count, seed=seed)]


def neighbours_figure(ours: Sequence[Answer], theirs: Sequence[Answer], limit: float) -> Figure:
    """The share of neighbours that stay, held to its limit."""
    return Figure("neighbours", neighbours_kept(ours, theirs), limit, at_least=True, texts=len(theirs))


def neighbours_kept(ours: Sequence[Answer], theirs: Sequence[Answer]) -> float:
    """The mean share of each text's nearest by `theirs` that are nearest by `ours`, of one vector for each text."""
    keys = list(dict.fromkeys(key for each in (*ours, *theirs) for key in each.keys))
    return float(overlap(unit(_rows(ours, keys)), unit(_rows(theirs, keys))).mean())


def _rows(answers: Sequence[Answer], keys: Sequence[Hashable]) -> NDArray[np.float32]:
    """The vectors (n, W) of answers; of those of a vocabulary with a column for each of `keys`."""
    if not keys:
        return np.stack([answer.numbers for answer in answers])
    columns = {key: column for column, key in enumerate(keys)}
    rows = np.zeros((len(answers), len(columns)), np.float32)
    for row, answer in zip(rows, answers, strict=True):
        row[[columns[key] for key in answer.keys]] = answer.numbers
    return rows


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
