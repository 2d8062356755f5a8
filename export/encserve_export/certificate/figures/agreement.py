"""How far one answer is from another: by its numbers, and by what it decides."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from encserve_export.reference.messages import Answer

TIE = 1e-4
"""Numbers this close, relative to the largest beside them, are equally high: either may come first."""
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Between an answer and the one that it should be."""

    largest: float
    """Of any number; infinite where there are more or fewer numbers than there should be, NaN where one is."""
    decided: int = 0
    """How many decisions there are: which key is first, or of each key that was found whether it should be."""
    lost_leads: tuple[float, ...] = ()
    """Of each decision that differs, the number by which the right one leads."""


def difference_of(ours: Answer, theirs: Answer) -> Difference:
    """Compare an answer with the library's, as its kind wants it."""
    if theirs.kind == "numbers":
        if ours.numbers.shape != theirs.numbers.shape:
            return Difference(np.inf)
        return Difference(_largest(ours.numbers, theirs.numbers))
    mine = dict(zip(ours.keys, ours.numbers, strict=True))
    right = dict(zip(theirs.keys, theirs.numbers, strict=True))
    shared = [key for key in right if key in mine]
    largest = _largest(_numbers(mine, shared), _numbers(right, shared))
    if theirs.kind == "weights":
        alone = [abs(side[key]) for side, other in ((mine, right), (right, mine)) for key in side if key not in other]
        return Difference(_worst(largest, *alone))
    if theirs.kind == "found":
        lost = [side[key] for side, other in ((mine, right), (right, mine)) for key in side if key not in other]
        return Difference(largest, len(shared) + len(lost), tuple(float(np.abs(each).max()) for each in lost))
    return _of_ranked(ours, theirs, largest)


def _of_ranked(ours: Answer, theirs: Answer, largest: float) -> Difference:
    """The numbers of leading keys, and whether the first one is right."""
    if len(ours.keys) != len(theirs.keys):
        return Difference(np.inf, 1, (np.inf,))
    if not theirs.keys:
        return Difference(0.0)
    right = dict(zip(theirs.keys, theirs.numbers.tolist(), strict=True))
    mine = dict(zip(ours.keys, ours.numbers.tolist(), strict=True))
    last, my_last = float(theirs.numbers.min()), float(ours.numbers.min())
    # A key that is not among the leading ones of one side has its last number there at most.
    beyond = [_worst(0.0, right[key] - my_last) for key in right if key not in mine]
    beyond += [_worst(0.0, mine[key] - last) for key in mine if key not in right]
    lead = float(theirs.numbers[0]) - right.get(ours.keys[0], last)
    tied = lead <= TIE * max(float(np.abs(theirs.numbers).max()), 1e-12)
    falls = np.diff(ours.numbers.astype(np.float64)).max(initial=0.0)  # the best must come first
    return Difference(_worst(largest, falls, *beyond), 1, () if tied else (lead,))


def agreement_bounds(agreed: int, decided: int) -> tuple[float, float]:
    """The share of decisions that agree, as far as `decided` of them can tell: the lower and the upper bound of Clopper
    and Pearson at 95 %."""
    rest = (1 - _CONFIDENCE) / 2
    lower = betaincinv(agreed, decided - agreed + 1, rest) if agreed else 0.0
    upper = betaincinv(agreed + 1, decided - agreed, 1 - rest) if agreed < decided else 1.0
    return float(lower), float(upper)


def _numbers(numbers: Mapping[Hashable, NDArray[np.float32]], keys: Sequence[Hashable]) -> NDArray[np.float32]:
    return np.array([numbers[key] for key in keys], np.float32)


def _largest(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    return float(np.abs(wide_of(ours) - theirs).max(initial=0.0))


def _worst(*differences: float | np.floating[Any]) -> float:
    """The largest; NaN where one is, which Python's `max` may pass over."""
    return float(np.max(np.array(differences)))


def wide_of(numbers: NDArray[np.float32]) -> NDArray[np.float64]:
    """In double precision, with NaN for infinity: both miss every limit, and differences of NaN raise no warning."""
    wide = numbers.astype(np.float64)
    return np.where(np.isfinite(wide), wide, np.nan)
