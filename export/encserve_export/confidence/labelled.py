"""Texts whose labels are known, out of a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from encserve_export.errors import InvalidConfig

LEAST_TEXTS = 150
"""The least texts of a file: two thirds of them fit one number, and a third shows what that is worth."""


@dataclass(frozen=True, kw_only=True)
class LabelledText:
    """One text, or pair of texts, and its right label."""

    text: str
    label: str
    pair: str = ""


@dataclass(frozen=True, kw_only=True)
class LabelledTexts:
    """The texts of a file, each once, in two parts."""

    fitted: Sequence[LabelledText]
    held_out: Sequence[LabelledText]
    sha256: str
    """Of the file."""


def read_labelled(file: Path, labels: Sequence[str], *, pairs: bool) -> LabelledTexts:
    """Read JSON lines with `text`, `label` and, for pipelines of `pairs`, `text_pair`; a seeded third is held out.

    Raises:
        InvalidConfig: the file cannot be read, a line is none of that, a label is none of `labels`, a text has two
            labels, or there are too few texts.
    """
    try:
        raw = file.read_bytes()
        lines = raw.decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"--labels {file}: cannot be read as UTF-8 text: {error}") from error
    found: dict[tuple[str, str], LabelledText] = {}
    numbers: dict[tuple[str, str], int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        each = _of(line, labels, f"--labels {file}, line {number}", pairs=pairs)
        key = (each.text, each.pair)
        if found.setdefault(key, each).label != each.label:
            raise InvalidConfig(f"--labels {file}: lines {numbers[key]} and {number} give one text two labels")
        numbers.setdefault(key, number)
    if len(found) < LEAST_TEXTS:
        raise InvalidConfig(f"--labels {file}: {len(found)} distinct texts; {LEAST_TEXTS} are the least")
    texts = [found[key] for key in sorted(found)]
    order = np.random.default_rng(0).permutation(len(texts))
    third = len(texts) // 3
    return LabelledTexts(
        fitted=[texts[place] for place in order[third:]],
        held_out=[texts[place] for place in order[:third]],
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def _of(line: str, labels: Sequence[str], where: str, *, pairs: bool) -> LabelledText:
    try:
        stated = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidConfig(f"{where}: it is no JSON") from error
    names = ("text", "label", *(("text_pair",) if pairs else ()))
    if not isinstance(stated, dict) or not all(isinstance(stated.get(name), str) for name in names):
        raise InvalidConfig(f"{where}: an object with {', '.join(names)} is expected, each a string")
    if stated["label"] not in labels:
        raise InvalidConfig(f"{where}: its label is none of the checkpoint's: {', '.join(labels)}")
    return LabelledText(text=stated["text"], label=stated["label"], pair=stated["text_pair"] if pairs else "")
