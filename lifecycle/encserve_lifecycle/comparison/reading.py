"""The texts, queries and labels that a comparison is about, out of files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encserve import InvalidInput


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Distinct texts in the order of their file."""

    texts: list[str]
    ids: list[str]
    """The id of each: its `id` in a file of JSON lines, else the number of its line, from 1."""
    labels: list[str]
    """The right label of each, or nothing."""
    relevant: list[Mapping[str, float]]
    """Of queries: id of a text -> how relevant it is, above zero; or nothing."""
    repeated: int
    """Lines that were left out, since an earlier one has the same text."""


def read_texts(path: Path) -> Texts:
    """Read one text a line, or JSON lines from a file whose name ends in `.jsonl`.

    A JSON line has `text`, and may have `id`, `label`, and of a query `relevant`: a list of ids, or ids with gains.

    Raises:
        InvalidInput: the file cannot be read, a line of it is wrong, or only some lines have labels or relevant texts.
    """
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    lines = read_lines(path)
    for number, fields in lines:
        found.setdefault(fields["text"], (str(fields.get("id", number)), fields))
    every = [fields for _, fields in found.values()]
    for name in ("label", "relevant"):
        if 0 < sum(name in fields for fields in every) < len(every):
            raise InvalidInput(f"{path}: some lines have {name!r} and others do not")
    ids = [identity for identity, _ in found.values()]
    if len(set(ids)) < len(ids):
        raise InvalidInput(f"{path}: an id stands at two texts")
    return Texts(
        texts=list(found),
        ids=ids,
        labels=[str(fields["label"]) for fields in every if "label" in fields],
        relevant=[_gains(fields["relevant"], path) for fields in every if "relevant" in fields],
        repeated=len(lines) - len(found),
    )


def read_lines(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    """Return what each line has, as often as it stands there, with the number of the line: `text`, and in JSON lines
    whatever else they have. Raises InvalidInput."""
    found = [
        (number, _fields(line, f"{path}, line {number}") if path.suffix == ".jsonl" else {"text": line})
        for number, line in _lines(path)
    ]
    if not found:
        raise InvalidInput(f"{path} has no text")
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {path}: {error}") from error
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r")


def _fields(line: str, where: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{where} is no JSON: {error.msg}") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("text"), str):
        raise InvalidInput(f"{where} has no field 'text' with a string")
    return fields


def _gains(relevant: Any, path: Path) -> Mapping[str, float]:
    gains = dict.fromkeys(map(str, relevant), 1.0) if isinstance(relevant, list) else relevant
    if (
        not isinstance(gains, dict)
        or not gains
        or not all(isinstance(gain, int | float) and 0 < gain < math.inf for gain in gains.values())
    ):
        raise InvalidInput(f"{path}: 'relevant' must be a list of ids, or an object of ids and gains above zero")
    return {str(identity): float(gain) for identity, gain in gains.items()}
