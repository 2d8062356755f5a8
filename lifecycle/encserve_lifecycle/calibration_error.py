"""How far the scores of a classifier are from how often its labels are right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 10
"""Of the reliability diagram, as many texts in each (Nguyen and O'Connor 2015)."""
DRAWS = 1_000
CONFIDENCE = 0.95


def bins_of(scores: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Return the indices of texts from the least sure to the surest, as many in each of `BINS`, of `scores` (n,)."""
    parts = np.array_split(np.argsort(scores, kind="stable"), BINS)
    return [part for part in parts if len(part)]


def calibration_error(scores: NDArray[np.float64], hits: NDArray[np.bool_]) -> float:
    """Return the mean distance of score (n,) and accuracy over the bins, of texts whose first label `hits` (n,)."""
    distances = [len(part) * abs(scores[part].mean() - hits[part].mean()) for part in bins_of(scores)]
    return float(sum(distances)) / len(hits)


def error_by_chance(scores: NDArray[np.float64]) -> float:
    """Return the calibration error below which 95 % of samples with such scores (n,) are where each is right as often
    as it says (Vaicenavicius et al. 2019, "Evaluating model calibration in classification"). The error of bins is above
    0 then, too, and the more so the fewer texts there are, so that an interval about it would not hold the true one."""
    draws = np.random.default_rng(0)
    drawn = [calibration_error(scores, draws.random(len(scores)) < scores) for _ in range(DRAWS)]
    return float(np.quantile(drawn, CONFIDENCE))
