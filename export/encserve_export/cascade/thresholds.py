"""Thresholds that hold what is stated of them, fitted by fixed-sequence testing (Angelopoulos et al. 2021, Learn then
Test) with the bounds of Clopper and Pearson (1934).

The thresholds are looked at from the highest to the lowest, in an order that no text has a say in, until one is not
shown to hold. What goes wrong above a threshold can only become more as it falls, and so the last that held may be
taken at the stated confidence, however many were looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from encserve_server.steps.cascade.decisions import is_sure

_LOG_ODDS = np.arange(16.0, -16.0, -0.125)
THRESHOLDS = (*(1 / (1 + np.exp(-_LOG_ODDS))).tolist(), 0.0)
"""From nearly 1, where FP32 has no more numbers between, to 0, above which every score is."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A threshold, and what it rests on."""

    threshold: float
    texts: int
    """The texts that it was fitted on."""
    sure: int
    """How many of them have a score that reaches it."""
    wrong: int
    """How many of those are wrong."""
    bound: float
    """The upper bound of the share of all texts that are sure and wrong."""


@lru_cache(maxsize=4096)  # neighbouring thresholds have the same counts
def upper_bound(wrong: int, texts: int, confidence: float) -> float:
    """Return the share of cases that is exceeded with a chance of at most 1 - `confidence`, of which `wrong` among
    `texts` were seen: one-sided, after Clopper and Pearson."""
    return 1.0 if wrong >= texts else float(betaincinv(wrong + 1, texts - wrong, confidence))


def least_texts(most: float, confidence: float) -> int:
    """Return how many texts, none of them wrong, show that a share is at most `most`."""
    return int(np.ceil(np.log(1 - confidence) / np.log1p(-most)))


def fit(
    scores: NDArray[np.float32],
    wrong: NDArray[np.bool_],
    *,
    most: float,
    confidence: float,
    besides: int = 0,
    of: int | None = None,
) -> Fitted | None:
    """Return the lowest threshold at which at most a share `most` of all texts is sure and wrong; None where that is
    shown of none.

    Args:
        scores: (n,) the first scores of texts.
        wrong: (n,) whether the first label is wrong.
        most: The share.
        confidence: How sure that is to be.
        besides: Further texts that are wrong at every threshold.
        of: How many texts there are in all, those without a score among them; n without it.
    """
    texts = len(scores) if of is None else of
    best = None
    for threshold in THRESHOLDS:
        sure = is_sure(scores, threshold)
        count = besides + int((sure & wrong).sum())
        bound = upper_bound(count, texts, confidence)
        if bound > most:
            break
        best = Fitted(threshold=threshold, texts=texts, sure=int(sure.sum()), wrong=count, bound=bound)
    return best
