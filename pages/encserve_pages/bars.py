"""Horizontal bars from one left end as inline SVG, each with its name, its figure and, where it has one, its range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .element import element

ROW, THICK = 26, 15
CHARACTER = 6.8
"""Pixels that one character takes."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One value, which is zero or more."""

    name: str
    value: float
    figure: str
    """The value as it is read, beside the bar."""
    kind: str
    """As for the marks of a chart."""
    range: tuple[float, float] | None = None
    """The lowest and the highest value that was seen."""
    note: str = ""
    """What the bar says when it is pointed at."""


def render_bars(label: str, bars: Sequence[Bar], width: int = 560) -> Markup:
    """The SVG element, `width` pixels wide."""
    left = min(0.6 * width, 20 + CHARACTER * max((len(bar.name) for bar in bars), default=0))
    beside = 20 + CHARACTER * max((len(bar.figure) for bar in bars), default=0)
    ends = [bar.range[1] if bar.range else bar.value for bar in bars]
    scale = (width - left - beside) / (max(ends, default=0.0) or 1.0)
    parts = []
    for row, (bar, end) in enumerate(zip(bars, ends, strict=True)):
        middle = row * ROW + ROW / 2
        title = element("title", bar.note or f"{bar.name}: {bar.figure}")
        parts += [
            element("text", bar.name, class_="ink", text_anchor="end", x=left - 10, y=middle + 4),
            element(
                "rect", title, class_=bar.kind, x=left, y=middle - THICK / 2, width=bar.value * scale, height=THICK
            ),
            element("text", bar.figure, x=left + end * scale + 8, y=middle + 4),
        ]
        if bar.range:
            low, high = (left + value * scale for value in bar.range)
            parts.append(element("line", class_="range", x1=low, x2=high, y1=middle, y2=middle))
    view = f"0 0 {width} {len(bars) * ROW}"
    return element("svg", Markup("").join(parts), viewBox=view, role="img", aria_label=label)
