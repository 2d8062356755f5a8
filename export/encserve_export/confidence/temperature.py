"""One number by which logits are divided, so that softmax scores are how often labels are right.

Guo, Pleiss, Sun and Weinberger 2017, "On calibration of modern neural networks": the one that makes the right labels
likeliest. Where all labels are right no number is small enough, so a right label counts as likely as that of one more
text of each kind would make it (Platt 1999, "Probabilistic outputs for support vector machines").
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from encserve_lifecycle.calibration_error import CONFIDENCE, bins_of, calibration_error, error_by_chance

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

SMALLEST, LARGEST = 0.05, 20.0


def fit(logits: Floats, right: Rows) -> float:
    """Return the temperature of texts with `logits` (n, C) and the `right` label (n,) of each."""
    texts, labels = logits.shape
    sure = (texts + 1) / (texts + 2)

    def loss(logarithm: float) -> float:
        likely = log_softmax(logits / math.exp(logarithm))
        own = likely[np.arange(texts), right]
        return -float((sure * own + (1 - sure) * likely.mean(axis=1)).mean()) if labels > 1 else 0.0

    bounds = (math.log(SMALLEST), math.log(LARGEST))
    return math.exp(float(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def measured(logits: Floats, right: Rows, temperature: float) -> dict[str, Any]:
    """Return what scores at a temperature are worth, of texts that it was not fitted on: the mean distance of score
    and accuracy with what chance alone makes it, the mean negative logarithm of the right label's score, and the points
    of a reliability diagram with the bounds of Clopper and Pearson (1934)."""
    likely = log_softmax(logits / temperature)
    hits = logits.argmax(axis=1) == right
    confidence = np.exp(likely.max(axis=1))
    return {
        "calibration_error": {
            "measured": calibration_error(confidence, hits),
            "by_chance": error_by_chance(confidence),
        },
        "log_loss": -float(likely[np.arange(len(right)), right].mean()),
        "bins": [_bin(confidence[part], hits[part]) for part in bins_of(confidence)],
    }


def log_softmax(logits: Floats) -> Floats:
    """Return the logarithms of the scores along the last axis."""
    above = logits - logits.max(axis=-1, keepdims=True)
    scores: Floats = above - np.log(np.exp(above).sum(axis=-1, keepdims=True))
    return scores


def _bin(confidence: Floats, hits: NDArray[np.bool_]) -> dict[str, float]:
    from scipy.stats import binomtest  # half a second, which exports without labels do not wait for

    bounds = binomtest(int(hits.sum()), len(hits)).proportion_ci(CONFIDENCE, method="exact")
    share = float(hits.mean())
    return {"score": float(confidence.mean()), "right": share, "low": float(bounds.low), "high": float(bounds.high)}
