"""Line charts as inline SVG. Colours are classes, so that the style sheet of the page decides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from encserve_loadtest.quantities import rounded

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 70, 16, 14, 44
TICKS = 6


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The values from `low` to `high` on a line."""

    label: str
    low: float
    high: float
    log: bool = False
    marks: Sequence[float] = ()
    """Values to mark in place of round ones."""

    @classmethod
    def over(cls, label: str, values: Sequence[float], *, log: bool = False, marks: Sequence[float] = ()) -> "Axis":
        """An axis that holds the values: from zero to a little beyond the highest; a log axis, around them."""
        finite = [value for value in values if math.isfinite(value) and (value > 0 or not log)] or [1.0]
        if log:
            low, high = min(finite), max(finite)
            return cls(label=label, low=low / 1.25, high=max(high * 1.25, low * 2), log=True, marks=marks)
        return cls(label=label, low=0.0, high=max(finite) * 1.06 or 1.0, marks=marks)

    def place(self, value: float) -> float:
        """Where a value is, from 0 to 1; beyond the ends it is at the ends."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """The values to mark."""
        if self.marks:
            return list(self.marks)
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            marks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
            return [mark for mark in marks if self.low <= mark <= self.high]
        rough = (self.high - self.low) / TICKS
        size = 10.0 ** math.floor(math.log10(rough))
        step = next(size * digit for digit in (1, 2, 5, 10) if size * digit >= rough)
        return [step * index for index in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


@dataclass(kw_only=True)
class Chart:
    """A chart that is drawn mark by mark; later marks lie on top."""

    x: Axis
    y: Axis
    _marks: list[str] = field(default_factory=list)
    _legend: list[tuple[str, str]] = field(default_factory=list)

    def line(self, points: Sequence[tuple[float, float]], kind: str, name: str = "", *, dots: bool = True) -> None:
        """Points joined in their order. A point without an end is left out."""
        points = [point for point in points if math.isfinite(point[1])]
        path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)
        self._marks.append(f'<polyline class="line {kind}" points="{path}"/>')
        if dots:
            self.dots(points, kind)
        if name:
            self._legend.append((kind, name))

    def dots(self, points: Sequence[tuple[float, float]], kind: str, name: str = "", *, radius: float = 3.5) -> None:
        """A dot at each point, with its values when pointed at."""
        for x, y in points:
            title = f"<title>{rounded(x)}, {rounded(y)}</title>"
            self._marks.append(
                f'<circle class="dot {kind}" cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="{radius}">{title}</circle>'
            )
        if name:
            self._legend.append((kind, name))

    def bars(self, bars: Sequence[tuple[float, float, float]], kind: str) -> None:
        """Bars from the bottom: (left, right, height)."""
        floor = self._y(self.y.low)
        for left, right, height in bars:
            x, top = self._x(left), self._y(height)
            width = max(0.5, self._x(right) - x - 1)
            title = f"<title>{rounded(left)} to {rounded(right)}: {rounded(height)}</title>"
            self._marks.append(
                f'<rect class="bar {kind}" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{floor - top:.1f}">'
                f"{title}</rect>"
            )

    def across(self, y: float, kind: str, name: str) -> None:
        """A horizontal line with its name."""
        at = self._y(y)
        self._marks.append(f'<line class="rule {kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        self._marks.append(f'<text class="name {kind}" x="{LEFT + 6}" y="{at - 5:.1f}">{escape(name)}</text>')

    def band(self, low: float, high: float, middle: float, kind: str, name: str) -> None:
        """A vertical line between the ends of its interval."""
        left, right, at = self._x(low), self._x(high), self._x(middle)
        height = HEIGHT - TOP - BOTTOM
        self._marks.append(
            f'<rect class="band {kind}" x="{left:.1f}" y="{TOP}" width="{max(1.0, right - left):.1f}" '
            f'height="{height}"/>'
            f'<line class="rule {kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        )
        anchor, shift = ("end", -5) if at > WIDTH / 2 else ("start", 5)
        self._marks.append(
            f'<text class="name {kind}" text-anchor="{anchor}" x="{at + shift:.1f}" y="{HEIGHT - BOTTOM - 8}">'
            f"{escape(name)}</text>"
        )

    def render(self) -> str:
        """The SVG element, with a legend above it where lines have names."""
        legend = "".join(f'<span class="key {kind}">{escape(name)}</span>' for kind, name in self._legend)
        name = escape(f"{self.y.label} by {self.x.label}")
        return (
            (f'<div class="legend">{legend}</div>' if legend else "")
            + f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">'
            + "".join(self._grid() + self._marks)
            + "</svg>"
        )

    def _grid(self) -> list[str]:
        right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = []
        for tick in self.y.ticks():
            at = self._y(tick)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
            parts.append(f'<text class="tick" text-anchor="end" x="{LEFT - 7}" y="{at + 4:.1f}">{tick:,.4g}</text>')
        for tick in self.x.ticks():
            at = self._x(tick)
            parts.append(f'<text class="tick" text-anchor="middle" x="{at:.1f}" y="{floor + 17}">{tick:,.4g}</text>')
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{floor}" y2="{floor}"/>')
        middle = (LEFT + right) / 2
        parts.append(
            f'<text class="label" text-anchor="middle" x="{middle}" y="{HEIGHT - 8}">{escape(self.x.label)}</text>'
        )
        across = (TOP + floor) / 2
        parts.append(
            f'<text class="label" text-anchor="middle" transform="translate(13 {across}) rotate(-90)">'
            f"{escape(self.y.label)}</text>"
        )
        return parts

    def _x(self, value: float) -> float:
        return LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
