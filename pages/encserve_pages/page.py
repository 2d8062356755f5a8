"""A page from its parts: figures, tables, cards and prose, from top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_TEMPLATES = Environment(
    loader=PackageLoader("encserve_pages", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Prose:
    """A paragraph, under a heading where it has one."""

    text: str
    heading: str = ""
    tone: str = "soft"
    """`soft`, `problem` for what a reader must not miss, or `code`."""


@dataclass(frozen=True)
class Cell:
    """A cell whose colour says how good it is: `good` or `bad`."""

    text: str
    tone: str


@dataclass(frozen=True)
class Table:
    """Rows under their heads; the first column is on the left, the others are numbers on the right."""

    heading: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    """A table without rows is not shown."""
    words: bool = False
    """Whether the cells are sentences, which are on the left and may be broken."""


@dataclass(frozen=True)
class Figure:
    """A drawing with its title and what to read in it."""

    title: str
    drawing: Markup
    caption: str


@dataclass(frozen=True)
class Figures:
    """Figures side by side, as many as there is room for."""

    figures: Sequence[Figure]


@dataclass(frozen=True)
class Line:
    """One finding: what it is about, its figure, and what stands behind the figure."""

    topic: str
    figure: str
    detail: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a reader wants to know first: some large, the others as a list."""

    large: Sequence[Line]
    others: Sequence[Line] = ()


Part = Prose | Table | Figures | Verdict


def render_page(title: str, about: str, parts: Sequence[Part]) -> str:
    """The HTML of the page; all text of the parts is escaped."""
    style = files("encserve_pages").joinpath("page.css").read_text(encoding="utf-8")
    named = [(type(part).__name__.lower(), part) for part in parts]
    return _TEMPLATES.get_template("page.html").render(title=title, about=about, style=Markup(style), parts=named)
