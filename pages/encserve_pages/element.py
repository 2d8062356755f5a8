"""One element of an SVG."""

from __future__ import annotations

from markupsafe import Markup, escape


def element(tag: str, content: str = "", **attributes: str | float) -> Markup:
    """The element with its attributes; their text, and content that is no `Markup`, is escaped.

    An underscore in a name stands for a hyphen, one at its end for nothing: `class_="dot"`, `text_anchor="end"`.
    Numbers are pixels, written to a tenth.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"' for name, value in attributes.items()
    )
    return Markup(f"<{tag}{written}>{escape(content)}</{tag}>")


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
