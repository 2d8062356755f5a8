"""Where a value stands on an axis, and which values to mark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_MARKS = 7
"""About so many values of an axis are marked."""
_MOST_DECADES = 4
"""Of so many decades, 2 and 5 are marked beside the powers of ten."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The values from `low` to `high` on a line; logarithmic, or even."""

    label: str
    """What is shown, with its unit."""
    low: float
    high: float
    log: bool = False
    marks: Sequence[float] = ()
    """Values to mark in place of round ones."""

    @classmethod
    def over(cls, label: str, values: Sequence[float], *, log: bool = False, marks: Sequence[float] = ()) -> Axis:
        """An axis that holds the values that it can show: from zero to a little beyond the highest; a log axis, around
        them."""
        shown = [value for value in values if math.isfinite(value) and (value > 0 or not log)] or [1.0]
        if log:
            low, high = min(shown), max(shown)
            return cls(label=label, low=low / 1.25, high=max(high * 1.25, low * 2), log=True, marks=marks)
        return cls(label=label, low=0.0, high=max(shown) * 1.06 or 1.0, marks=marks)

    def place(self, value: float) -> float:
        """Where a value is, from 0 to 1; what is beyond the ends is at the ends."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """The values to mark, and how each is written."""
        values = list(self.marks) or (self._powers() if self.log else self._steps())
        return [(value, _written(value)) for value in values]

    def _steps(self) -> list[float]:
        rough = (self.high - self.low) / (_MARKS - 1)
        size = 10.0 ** math.floor(math.log10(rough))
        step = next(size * digit for digit in (1, 2, 5, 10) if size * digit >= rough)
        return [step * index for index in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]

    def _powers(self) -> list[float]:
        """1, 2 and 5 of each decade; of many decades the powers of ten; of very many, some of them."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        powers = [10.0**decade for decade in decades if self.low <= 10.0**decade <= self.high]
        if math.log10(self.high / self.low) > _MOST_DECADES:
            return powers[:: math.ceil(len(powers) / _MARKS)]
        values = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
        return [value for value in values if self.low <= value <= self.high]


def _written(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e7:
        digits, power = f"{value:.2e}".split("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value:,.0f}" if value >= 1e3 else f"{value:.4g}"
