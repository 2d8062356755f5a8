"""Logits to scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def softmax(logits: Floats) -> Floats:
    """Return the probabilities along the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    total: Floats = powers.sum(-1, keepdims=True)
    return np.divide(powers, total, dtype=np.float32)


def sigmoid(logits: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)), without overflow at either end."""
    powers = np.exp(-np.abs(logits))
    return np.divide(np.where(logits >= 0, 1, powers), 1 + powers, dtype=np.float32)


def unchanged(logits: Floats) -> Floats:
    """Return the logits themselves, as regression wants them."""
    return logits


def tanh(logits: Floats) -> Floats:
    """Return the hyperbolic tangent."""
    tangents: Floats = np.tanh(logits)
    return tangents


def relu(logits: Floats) -> Floats:
    """Return max(0, x)."""
    positive: Floats = np.maximum(logits, np.float32(0))
    return positive


def softplus(logits: Floats) -> Floats:
    """Return log(1 + exp(x)), without overflow at either end."""
    value: Floats = relu(logits) + np.log1p(np.exp(-np.abs(logits)))
    return value


def log_sigmoid(logits: Floats) -> Floats:
    """Return log(1 / (1 + exp(-x))), without overflow at either end."""
    return -softplus(-logits)


ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "log_sigmoid": log_sigmoid,
    "none": unchanged,
    "relu": relu,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "softplus": softplus,
    "tanh": tanh,
}
"""The functions that make scores of a head's logits, by their names in the settings."""


def descending(scores: Floats, count: int | None) -> NDArray[np.intp]:
    """Return the indices of the `count` highest scores along the last axis, highest first; equal scores keep their
    order."""
    return np.argsort(-scores, axis=-1, kind="stable")[..., :count]
