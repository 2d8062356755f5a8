"""The part of docs/contract.md that is made from the table of verbs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from encserve._verbs.options import Option
from encserve._verbs.verb import Verb

PAGE = Path(__file__).parents[4] / "docs" / "contract.md"
BEGIN, END = "<!-- verbs -->\n", "<!-- /verbs -->\n"


def tables(verbs: Mapping[str, Verb[Any]]) -> str:
    """Which options each verb of the SDK has, and what each option does."""
    asked = ((f"`{verb.task}`", f"`{verb.name}`", _listed(verb.options)) for verb in verbs.values())
    explained: dict[tuple[str, ...], list[str]] = {}
    for verb in verbs.values():
        for option in verb.options.values():
            row = (f"`{option.name}`", _values(option), option.about)
            explained.setdefault(row, []).append(verb.name)
    options = ((name, _listed(of), values, about) for (name, values, about), of in sorted(explained.items()))
    return "\n".join(
        [
            *_table(("task", "verb of the SDK", "options"), sorted(asked)),
            "",
            *_table(("option", "verbs", "values", "what it does"), options),
            "",
        ]
    )


def with_tables(page: str, verbs: Mapping[str, Verb[Any]]) -> str:
    """The page with its part made anew."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + tables(verbs) + END + after


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    first, *others = (f"| {' | '.join(row)} |" for row in (heads, *rows))
    return [first, "|" + "---|" * len(heads), *others]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _values(option: Option) -> str:
    if option.choices:
        return _listed(option.choices)
    if option.kind is tuple:
        return "for each text of the request a list of `[begin, end]`; on the wire one JSON list of them"
    if option.by_text:
        return "a text, or one for each text of the request; on the wire a JSON list of them"
    values = {bool: "`true`, `false`", float: "a number", str: "a text", list: "texts; on the wire a JSON list of them"}
    return f"whole numbers from {option.least}" if option.kind is int else values[option.kind]
