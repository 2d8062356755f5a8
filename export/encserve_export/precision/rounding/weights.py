"""Rounding a matrix to 8-bit integers so that its products change least on real inputs.

Frantar et al. 2022, GPTQ, algorithm 1: row after row is rounded, and what that changed in the product is made up for in
the rows that are still free, as far as the inputs of the two go together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGEST = 127
"""Of a rounded weight; -128 is left out, so that a weight and its negative round alike."""
_DAMPING = 0.01
"""Share of the mean squared input that is added to each, so that a column that calibration never moved has an
inverse."""
_BLOCK = 128  # rows whose changes reach the rows after them in one product
_SHRINKS, _SMALLEST_SHRINK = 13, 0.7
"""How many shares of a column's largest weight are tried as what the largest integer stands for, from 1 down."""


def column_scales(weight: NDArray[np.float32], products: NDArray[np.float64]) -> NDArray[np.float32]:
    """One scale for each column of `weight` (K, N): (N,), with the smallest error on inputs of `products` (K, K)."""
    energy = np.diag(products).astype(np.float32)  # (K,)
    shrinks = np.linspace(1.0, _SMALLEST_SHRINK, _SHRINKS)
    largest = np.maximum(np.abs(weight).max(0), np.finfo(np.float32).tiny * LARGEST)  # (N,)
    errors = []
    for shrink in shrinks:
        scale = (largest * shrink / LARGEST).astype(np.float32)
        rounded = np.clip(np.rint(weight / scale), -LARGEST, LARGEST) * scale
        errors.append(energy @ np.square(rounded - weight))  # (N,)
    best: NDArray[np.float64] = shrinks[np.argmin(errors, axis=0)]
    return np.asarray(largest * best / LARGEST, np.float32)


def round_weights(
    weight: NDArray[np.float32], scale: NDArray[np.float32], products: NDArray[np.float64]
) -> NDArray[np.int8]:
    """Integers (K, N) whose products with `scale` (N,) stand for `weight` (K, N), on inputs of `products` (K, K)."""
    size = len(weight)
    damping = max(_DAMPING * float(np.diag(products).mean()), 1e-30)
    damped = products + np.eye(size) * damping
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T  # (K, K); row k says how later rows make up for row k
    left = weight.astype(np.float64)
    rounded = np.empty(weight.shape, np.int8)
    for begin in range(0, size, _BLOCK):
        end = min(begin + _BLOCK, size)
        errors = np.empty((end - begin, weight.shape[1]))
        for row in range(begin, end):
            integers = np.clip(np.rint(left[row] / scale), -LARGEST, LARGEST)
            rounded[row] = integers
            errors[row - begin] = (left[row] - integers * scale) / upper[row, row]
            left[row + 1 : end] -= upper[row, row + 1 : end, None] * errors[row - begin]
        left[end:] -= upper[begin:end, end:].T @ errors
    return rounded
