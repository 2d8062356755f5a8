"""One scale for all rows that a linear layer multiplies, known before any text comes.

What each column is moved and divided by decides how much of 8 bits is left for it: its middle is moved to zero (Wei et
al. 2023, Outlier Suppression+), and its range is balanced against the weights that it meets (Xiao et al. 2022,
SmoothQuant, equation 4). Several such choices are tried on rows of the calibration texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from encserve_export.precision.layers.linear import InputStatistics

from .weights import LARGEST

BALANCES = (0.65, 0.8, 0.9)
"""SmoothQuant's alphas that are tried."""
SHRINKS = (1.0, 0.8)
"""Shares of the largest value that are tried as what 127 stands for; what is beyond is cut."""
_SMALLEST = 1e-5  # of a column's range or a weight row's largest value, where it is divided by
_LEAST_SCALE = float(np.finfo(np.float16).tiny)  # below, fp16 keeps fewer digits


@dataclass(frozen=True, kw_only=True)
class StaticScale:
    """How the rows x of one tensor become integers: round((x - shift) / factor / scale)."""

    shift: NDArray[np.float32]
    """What each column is moved by: (K,), zeros where that is not worth it."""
    factor: NDArray[np.float32]
    """What each column is divided by: (K,)."""
    scale: np.float16
    """What one step stands for."""
    error: float
    """Mean squared error of the products on the sample, over their variance there; weights rounded to the nearest."""


def static_scale(statistics: InputStatistics, weight: NDArray[np.float32]) -> StaticScale:
    """The best of the choices for rows of `statistics` that meet `weight` (K, N)."""
    middle = (statistics.least + statistics.most) / 2
    choices = product((np.zeros_like(middle), middle), BALANCES, SHRINKS)
    return min((_tried(statistics, weight, *choice) for choice in choices), key=lambda each: each.error)


def in_fp16(scale: NDArray[np.float32] | float) -> NDArray[np.float16]:
    """A scale as the graph has it: in fp16, and as exact there as larger numbers."""
    return np.maximum(np.asarray(scale), _LEAST_SCALE).astype(np.float16)


def _tried(
    statistics: InputStatistics, weight: NDArray[np.float32], shift: NDArray[np.float32], balance: float, shrink: float
) -> StaticScale:
    reach = np.maximum(np.maximum(statistics.most - shift, shift - statistics.least), _SMALLEST)  # (K,)
    of_weight = np.maximum(np.abs(weight).max(1), _SMALLEST)
    factor = np.asarray(reach**balance / of_weight ** (1 - balance), np.float32)
    scale = in_fp16(float((reach / factor).max()) * shrink / LARGEST)
    grown = weight * factor[:, None]
    steps = np.maximum(np.abs(grown).max(0) / LARGEST, _LEAST_SCALE)  # (N,)
    rounded = np.rint(grown / steps) * steps
    rows = np.clip(np.rint((statistics.sample - shift) / factor / scale), -LARGEST, LARGEST) * np.float32(scale)
    exact = statistics.sample @ weight
    variance = float(np.square(exact - exact.mean(0)).mean())
    error = float(np.square(rows @ rounded + shift @ weight - exact).mean()) / max(variance, 1e-30)
    return StaticScale(shift=shift, factor=factor, scale=np.float16(scale), error=error)
