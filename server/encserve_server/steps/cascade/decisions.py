"""Who decides about a text: the small pipeline where it is sure, else the large one; and what a person should see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL, LARGE, REVIEW = "small", "large", "review"
DECISIONS = (SMALL, LARGE, REVIEW)
"""The values of the output `decision`. `REVIEW` is an answer of the large pipeline, too, of which that is unsure."""

Tensors = Mapping[str, NDArray[Any]]


def is_sure(scores: NDArray[Any], threshold: float) -> NDArray[np.bool_]:
    """Return which of the first scores (n,) reach a threshold. It is fitted with this function, too."""
    return scores.astype(np.float64) >= threshold


def merged(small: Tensors, rows: NDArray[np.intp], large: Tensors) -> dict[str, NDArray[Any]]:
    """Return the tensors (n, ...) of the small pipeline with `rows` of it as the large one has them, (len(rows), ...).

    Raises:
        ValueError: a tensor of the large pipeline has other columns.
    """
    whole = {}
    for name, tensor in small.items():
        whole[name] = tensor.copy()
        whole[name][rows] = large[name]
    return whole


def decisions_of(count: int, rows: NDArray[np.intp], unsure: NDArray[np.bool_]) -> list[str]:
    """Return the decision of each of `count` texts: those of `rows` went to the large pipeline, which is `unsure` of
    some of them, (len(rows),)."""
    decided = [SMALL] * count
    for row, each in zip(rows.tolist(), unsure.tolist(), strict=True):
        decided[row] = REVIEW if each else LARGE
    return decided
