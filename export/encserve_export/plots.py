"""Plots as inline SVG: points over two axes, and bars. Colours are classes, so that the page's style sheet decides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 66, 24, 12, 44
_MOST_TICKS = 9
_STEPS = [digit * 10**power for power in range(9) for digit in (1, 2, 5)]
BAR, BAR_RIGHT = 30, 90
CHARACTER, MOST_NAME = 6.6, 330  # the width of one, and of a bar's name

Points = Sequence[tuple[float, float, str]]
"""x, y, and what a point says when it is pointed at."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The values from `low` to `high`; logarithmic, or even."""

    label: str
    low: float
    high: float
    log: bool = True

    @classmethod
    def around(cls, label: str, values: Sequence[float], *, log: bool = True) -> Axis:
        """An axis that holds the values that it can show."""
        shown = [value for value in values if math.isfinite(value) and (value > 0 or not log)] or [1.0]
        low, high = min(shown), max(shown)
        if log:
            return cls(
                label=label, low=10 ** math.floor(math.log10(low)), high=10 ** math.ceil(math.log10(high * 1.01))
            )
        return cls(label=label, low=low - 1, high=high + 1, log=False)

    def place(self, value: float) -> float:
        """Where a value is, from 0 to 1; what is beyond the ends is at the ends."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """The values to mark, with their words."""
        if not self.log:
            step = next(each for each in _STEPS if (self.high - self.low) / each <= _MOST_TICKS)
            first = math.ceil(self.low / step) * step
            return [(float(value), f"{value:,}") for value in range(first, math.floor(self.high) + 1, step)]
        first, last = round(math.log10(self.low)), round(math.log10(self.high))
        step = max(1, (last - first) // 6)
        return [
            (10.0**power, f"{10.0**power:,.0f}" if power >= 0 else f"1e{power}")
            for power in range(first, last + 1, step)
        ]


def scatter(
    x: Axis,
    y: Axis,
    series: Mapping[str, Points],
    limits: Mapping[str, float] | None = None,
    rings: Mapping[str, Points] | None = None,
) -> str:
    """Points of each series, by its name; some of them as `rings`; and horizontal lines at `limits`.

    A series without points keeps its colour free, so that one name has one colour in several plots.
    """
    rings = rings or {}
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM

    def at_x(value: float) -> float:
        return LEFT + x.place(value) * (right - LEFT)

    def at_y(value: float) -> float:
        return floor - y.place(value) * (floor - TOP)

    parts = []
    for value, words in y.ticks():
        at = at_y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text text-anchor="end" x="{LEFT - 8}" y="{at + 4:.1f}">{words}</text>')
    for value, words in x.ticks():
        parts.append(f'<text text-anchor="middle" x="{at_x(value):.1f}" y="{floor + 17}">{words}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{floor}" y2="{floor}"/>')
    parts.append(f'<text text-anchor="middle" x="{(LEFT + right) / 2}" y="{HEIGHT - 8}">{escape(x.label)}</text>')
    middle = (TOP + floor) / 2
    parts.append(f'<text text-anchor="middle" transform="translate(13 {middle}) rotate(-90)">{escape(y.label)}</text>')
    for name, limit in (limits or {}).items():
        at = at_y(limit)
        parts.append(f'<line class="limit" x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="limit" text-anchor="end" x="{right - 4}" y="{at - 5:.1f}">{escape(name)}</text>')
    shown = []
    for index, (name, points) in enumerate(series.items()):
        for kind, some in (("", points), (" ring", rings.get(name, ()))):
            for a, b, words in some:
                parts.append(
                    f'<circle class="series-{index % SERIES}{kind}" cx="{at_x(a):.1f}" cy="{at_y(b):.1f}" r="3.2">'
                    f"<title>{escape(words)}</title></circle>"
                )
        if points or rings.get(name):
            shown.append((index, name))
    label = escape(f"{y.label} by {x.label}")
    return legend(shown) + (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


SERIES = 6
"""Colours of the style sheet."""


def legend(series: Sequence[tuple[int, str]]) -> str:
    """The number and name of each series, with its colour."""
    keys = (f'<span class="key series-{index % SERIES}">{escape(name)}</span>' for index, name in series)
    return f'<div class="legend">{"".join(keys)}</div>'


def bars(label: str, values: Sequence[tuple[int, str, float, str]]) -> str:
    """A bar for each (number of its series, name, value, words), from the same left end."""
    largest = max((value for _, _, value, _ in values), default=0.0) or 1.0
    left = min(MOST_NAME, 20 + CHARACTER * max((len(name) for _, name, _, _ in values), default=0))
    room = WIDTH - left - BAR_RIGHT
    parts = []
    for index, (series, name, value, words) in enumerate(values):
        top = index * BAR
        parts.append(f'<text text-anchor="end" x="{left - 10:.1f}" y="{top + 19}">{escape(name)}</text>')
        parts.append(
            f'<rect class="series-{series % SERIES}" x="{left:.1f}" y="{top + 6}" width="{value / largest * room:.1f}" '
            f'height="{BAR - 12}"/>'
        )
        parts.append(f'<text x="{left + value / largest * room + 8:.1f}" y="{top + 19}">{escape(words)}</text>')
    height = len(values) * BAR + 4
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
