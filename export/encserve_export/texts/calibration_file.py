"""A file of the user's own texts, and the third of it that is held out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from encserve_export.errors import InvalidConfig

from .overlap import WORDS, groups_by_overlap, words_of
from .sampling import seeded_order

MIN_TEXTS = 24
"""Distinct texts: fewer say too little of what the activations of a network look like."""
MAX_TEXTS, MAX_HELD_OUT = 512, 256
"""Texts beyond are left out: statistics change little with more, and an export takes longer."""
_LOOKED_AT = 8 * (MAX_TEXTS + MAX_HELD_OUT)
"""Of a larger file a seeded choice of so many: to tell more from each other would take long."""
_ENOUGH = 0.5
"""Of the texts that are to be held out: where fewer can be told from all others, they are told by less."""


@dataclass(frozen=True)
class OwnTexts:
    """The texts of a file."""

    kept: list[str]
    """Of which a precision may learn."""
    held_out: list[str]
    """Of which nothing that is made or chosen may know."""
    repeated: int
    """How many lines say what another one says."""
    apart: str
    """What no text that is held out shares with one that is kept, in words."""


def own_texts(file: Path, field: str) -> OwnTexts:
    """The texts of `file`, a third of them held out.

    Raises:
        InvalidConfig: the file cannot be read, a line of it is no text, or it has too few texts.
    """
    read = read_texts(file, field)
    known = distinct(read)
    if len(known) < MIN_TEXTS:
        raise InvalidConfig(f"--calibration {file}: {len(known)} distinct texts; {MIN_TEXTS} are the least")
    kept, held_out, apart = hold_out(known)
    return OwnTexts(kept[:MAX_TEXTS], held_out[:MAX_HELD_OUT], len(read) - len(known), apart)


def read_texts(file: Path, field: str) -> list[str]:
    """One text for each line that is not blank; of `FILE.jsonl` the string under `field`, or the line's own string.

    Raises:
        InvalidConfig: the file cannot be read, or a line of it is no text.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"--calibration {file}: cannot be read as UTF-8 text: {error}") from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if file.suffix != ".jsonl":
        return [line for _, line in numbered]
    return [_text_of(line, field, f"--calibration {file}, line {number}") for number, line in numbered]


def distinct(texts: Iterable[str]) -> list[str]:
    """The first of the texts that differ in case, punctuation and white space alone, in their order."""
    return list({" ".join(words_of(text)): text for text in reversed([*texts])}.values())[::-1]


def hold_out(texts: Sequence[str]) -> tuple[list[str], list[str], str]:
    """Two thirds of distinct texts, and a third that is held out, each in a seeded order: the same for the same texts,
    in whatever order a file has them. Last what the two do not share, in words.

    Texts that share five words in a row stay on one side. A file of one template leaves nothing to hold out then, and
    its texts are told apart by being distinct.
    """
    ordered = seeded_order(texts, seed=0)[:_LOOKED_AT]
    wanted = len(ordered) // 3
    out: set[str] = set()
    for group in groups_by_overlap(ordered):
        if len(out) + len(group) <= wanted:
            out.update(group)
    apart = f"{WORDS} words in a row"
    if len(out) < _ENOUGH * wanted:
        out, apart = set(ordered[:wanted]), "a text that is equal but for case, punctuation and white space"
    return [text for text in ordered if text not in out], [text for text in ordered if text in out], apart


def _text_of(line: str, field: str, where: str) -> str:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise InvalidConfig(f"{where}: not JSON: {error}") from error
    text = value.get(field) if isinstance(value, dict) else value
    if not isinstance(text, str):
        has = f"its fields are {', '.join(sorted(value))}" if isinstance(value, dict) else f"it is {line[:60]}"
        raise InvalidConfig(f"{where}: no text under {field!r}, {has}; --calibration-field names the field")
    return text
