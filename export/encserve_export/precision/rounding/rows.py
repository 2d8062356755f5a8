"""How the rows of one tensor become 8-bit integers, each row with a scale of its own that is known when it comes.

What is known before is chosen here, on rows of the calibration texts. Each column is moved so that its mean is zero
(Wei et al. 2023, Outlier Suppression+) and balanced against the weights that it meets (Xiao et al. 2022, SmoothQuant,
equation 4). Zero lies where the rows need it: what comes out of GELU is hardly ever negative, and gets nearly all of
the 255 steps above zero. The few columns that widen the steps of all others stay in FP32, beside the integers
(Dettmers et al. 2022, LLM.int8()).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encserve_export.precision.layers.linear import InputStatistics

from .weights import LARGEST

STEPS = 255
_BALANCE = 0.5
"""SmoothQuant's alpha: how much of the difference between columns moves from the rows into the weights. Between 0.5 and
0.8 the error of MiniLM's layers differs by a twentieth."""
_KEPT = 32
"""One column in so many stays in FP32. Where only half of MiniLM's layers had such columns, the mean cosine of its
vectors was 0.9992 in place of 0.9997."""
_WORTH_MOVING = 0.95
"""Columns are moved where that leaves no more than this of the error: it takes a pass over the rows, and one over what
comes out of each product, which behind norms without a mean (T5) buy nothing."""
_ZERO_POINTS = range(4, 129, 4)
"""What zero may become. Rows that are as large below zero as above take 128."""
_SMALLEST = 1e-5  # of a column's range, a row of weights, or a scale, where it is divided by


@dataclass(frozen=True, kw_only=True)
class RowRounding:
    """A row x becomes round((x - shift) / factor / scale) + zero_point, with the smallest scale at which it fits."""

    shift: NDArray[np.float32]
    """What each column is moved by: (K,)."""
    factor: NDArray[np.float32]
    """What each column is divided by: (K,)."""
    zero_point: int
    """What zero becomes, from 1 to 254."""
    kept: NDArray[np.intp]
    """The columns that stay in FP32, in order; none of rows with few columns."""
    error: float
    """Mean squared error of the products on the sample, over their variance, where weights are rounded to the nearest
    and each column of them is scaled to the same mean square."""

    @property
    def free(self) -> NDArray[np.bool_]:
        """Which columns become integers: (K,)."""
        free = np.ones(len(self.factor), bool)
        free[self.kept] = False
        return free

    @property
    def moves(self) -> bool:
        """Whether any column is moved."""
        return bool(self.shift.any())


def row_rounding(statistics: InputStatistics, weight: NDArray[np.float32]) -> RowRounding:
    """The best choice for rows of `statistics` that meet `weight` (K, N), the matrices of all their layers."""
    mean = statistics.mean.astype(np.float32)
    moved, unmoved = (_tried(statistics, weight, shift) for shift in (mean, np.zeros_like(mean)))
    return moved if moved.error < _WORTH_MOVING * unmoved.error else unmoved


def _tried(statistics: InputStatistics, weight: NDArray[np.float32], shift: NDArray[np.float32]) -> RowRounding:
    """With columns in FP32 that reach furthest once they are balanced."""
    reach = np.maximum(np.maximum(statistics.most - shift, shift - statistics.least), _SMALLEST)  # (K,)
    evened = weight / np.maximum(np.sqrt(np.square(weight).mean(0)), _SMALLEST)  # each column has a scale of its own
    of_weight = np.maximum(np.sqrt(np.square(evened).mean(1)), _SMALLEST)
    factor = np.asarray(reach**_BALANCE / of_weight ** (1 - _BALANCE), np.float32)
    kept = np.sort(np.argsort(-reach / factor)[: len(reach) // _KEPT])
    moved = (statistics.sample - shift) / factor  # (m, K)
    rows = moved.copy()
    rows[:, kept] = 0
    zero = zero_point_of(rows)
    scale = np.maximum(scales_of(rows, zero), _SMALLEST)[:, None]
    rounded = (np.clip(np.rint(rows / scale) + zero, 0, STEPS) - zero) * scale
    rounded[:, kept] = moved[:, kept]
    error = _error(moved, rounded, evened * factor[:, None])
    return RowRounding(shift=shift, factor=factor, zero_point=zero, kept=kept, error=error)


def _error(rows: NDArray[np.float32], rounded: NDArray[np.float32], weight: NDArray[np.float32]) -> float:
    """Of the products of `rounded` (m, K) with rounded `weight` (K, N), over the variance of the exact ones."""
    steps = np.maximum(np.abs(weight).max(0) / LARGEST, _SMALLEST**2)  # (N,)
    exact = rows @ weight
    error = rounded @ (np.rint(weight / steps) * steps) - exact
    return float(np.square(error).mean() / max(float(exact.var(0).mean()), 1e-30))


def zero_point_of(rows: NDArray[np.float32]) -> int:
    """What zero becomes where `rows` (m, K) are rounded with the smallest steps, on average."""
    above, below = _reach(rows)
    return min(_ZERO_POINTS, key=lambda zero: float(np.square(_scales(above, below, zero)).mean()))


def scales_of(rows: NDArray[np.float32], zero_point: int) -> NDArray[np.float32]:
    """What one step stands for in each of `rows` (m, K): (m,)."""
    return _scales(*_reach(rows), zero_point)


def _reach(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How far each of `rows` (m, K) goes above zero and below it: (m,) both."""
    return np.maximum(rows.max(1), 0), np.maximum(-rows.min(1), 0)


def _scales(above: NDArray[np.float32], below: NDArray[np.float32], zero_point: int) -> NDArray[np.float32]:
    return np.asarray(np.maximum(above / (STEPS - zero_point), below / zero_point), np.float32)
