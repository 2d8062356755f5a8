"""A chart over two axes as inline SVG. What a mark means is its class, and the style of the page decides its colour.

The kinds of marks that the style knows: `series-0` to `series-5`, colours that the colour-blind can tell apart;
`shade-0` to `shade-3`, from faint to strong; `limit`, `good`, `fit`. A second word changes the form: `ring`, `dashed`,
`faint`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from .axis import Axis
from .element import element

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 70, 16, 14, 44

Point = tuple[float, float, str]
"""x, y, and what the point says when it is pointed at."""


def legend(keys: Sequence[tuple[str, str]]) -> Markup:
    """The kind and name of each thing that is drawn."""
    spans = Markup("").join(element("span", name, class_=f"key {kind}") for kind, name in keys)
    return element("div", spans, class_="legend") if keys else Markup("")


@dataclass(kw_only=True)
class Chart:
    """A chart that is drawn mark by mark; later marks lie on top. What is beyond an axis is drawn at its end."""

    x: Axis
    y: Axis
    _marks: list[Markup] = field(default_factory=list)
    _legend: list[tuple[str, str]] = field(default_factory=list)

    def line(self, points: Sequence[tuple[float, float]], kind: str, name: str = "") -> None:
        """Points joined in their order; those without an end are left out."""
        path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points if math.isfinite(y))
        self._marks.append(element("polyline", class_=f"line {kind}", points=path))
        self.name(kind, name)

    def dots(self, points: Sequence[Point], kind: str, name: str = "", *, radius: float = 3.5) -> None:
        """A dot at each point; those without an end are left out."""
        dots = (
            element("circle", element("title", words), cx=self._x(x), cy=self._y(y), r=radius)
            for x, y, words in points
            if math.isfinite(y)
        )
        self._marks.append(element("g", Markup("").join(dots), class_=f"dots {kind}"))
        self.name(kind, name)

    def columns(self, columns: Sequence[tuple[float, float, float, str]], kind: str) -> None:
        """Columns from the bottom: (left, right, height, what it says when it is pointed at)."""
        floor = self._y(self.y.low)
        for left, right, height, words in columns:
            x, top = self._x(left), self._y(height)
            width = max(0.5, self._x(right) - x - 1)
            title = element("title", words)
            self._marks.append(element("rect", title, class_=kind, x=x, y=top, width=width, height=floor - top))

    def across(self, y: float, kind: str, name: str) -> None:
        """A horizontal line with its name."""
        at = self._y(y)
        above = at - 5 if at > TOP + 16 else at + 15
        self._marks += [
            element("line", class_=f"rule {kind}", x1=LEFT, x2=WIDTH - RIGHT, y1=at, y2=at),
            element("text", name, class_=f"name {kind}", x=LEFT + 6, y=above),
        ]

    def band(self, low: float, high: float, middle: float, kind: str, name: str) -> None:
        """A vertical line between the ends of its interval."""
        left, right, at, floor = self._x(low), self._x(high), self._x(middle), HEIGHT - BOTTOM
        anchor, shift = ("end", -5) if at > WIDTH / 2 else ("start", 5)
        width = max(1.0, right - left)
        self._marks += [
            element("rect", class_=f"{kind} faint", x=left, y=TOP, width=width, height=floor - TOP),
            element("line", class_=f"rule {kind}", x1=at, x2=at, y1=TOP, y2=floor),
            element("text", name, class_=f"name {kind}", text_anchor=anchor, x=at + shift, y=floor - 8),
        ]

    def name(self, kind: str, name: str) -> None:
        """Add a kind of marks to the legend; an empty name adds none."""
        if name:
            self._legend.append((kind, name))

    def render(self) -> Markup:
        """The SVG element, with its legend above it."""
        marks = Markup("").join(self._axes() + self._marks)
        label = f"{self.y.label} by {self.x.label}"
        svg = element("svg", marks, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label)
        return legend(self._legend) + svg

    def _axes(self) -> list[Markup]:
        right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = []
        for value, words in self.y.ticks():
            at = self._y(value)
            parts.append(element("line", class_="grid", x1=LEFT, x2=right, y1=at, y2=at))
            parts.append(element("text", words, text_anchor="end", x=LEFT - 7, y=at + 4))
        for value, words in self.x.ticks():
            parts.append(element("text", words, text_anchor="middle", x=self._x(value), y=floor + 17))
        middle, turned = (LEFT + right) / 2, f"translate(13 {(TOP + floor) / 2}) rotate(-90)"
        return [
            *parts,
            element("line", class_="axis", x1=LEFT, x2=right, y1=floor, y2=floor),
            element("text", self.x.label, text_anchor="middle", x=middle, y=HEIGHT - 8),
            element("text", self.y.label, text_anchor="middle", transform=turned),
        ]

    def _x(self, value: float) -> float:
        return LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
