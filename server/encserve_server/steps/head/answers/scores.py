"""Logits to scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    total: Floats = powers.sum(-1, keepdims=True)
    return np.divide(powers, total, dtype=np.float32)


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow at either end."""
    powers = np.exp(-np.abs(logits))
    return np.divide(np.where(logits >= 0, 1, powers), 1 + powers, dtype=np.float32)


def unchanged(logits: Floats) -> Floats:
    """The logits themselves, as regression wants them."""
    return logits


ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {"none": unchanged, "sigmoid": sigmoid, "softmax": softmax}
"""What makes scores of a head's logits, by the name it has in the settings."""


def descending(scores: Floats, count: int | None) -> NDArray[np.intp]:
    """Indices of the `count` highest scores along the last axis, highest first; equal ones keep their order."""
    return np.argsort(-scores, axis=-1, kind="stable")[..., :count]
