"""The texts that a cascade is fitted on, out of a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from encserve_export.errors import InvalidConfig
from encserve_export.texts.sampling import seeded_order


@dataclass(frozen=True, kw_only=True)
class FittingText:
    """One text, or pair of texts, with its right label where that is known."""

    text: str
    pair: str = ""
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class FittingTexts:
    """The texts of a file, each once, in an order that does not depend on that of the lines."""

    texts: Sequence[FittingText]
    sha256: str
    """Of the file."""


def read_fitting_texts(file: Path, labels: Sequence[str], *, pairs: bool, labelled: bool) -> FittingTexts:
    """Read a text from each line that is not blank; of a file whose name ends in `.jsonl`, an object with `text`, and
    `text_pair` of `pairs`, and `label` where they are to be `labelled`.

    Raises:
        InvalidConfig: the file cannot be read, a line is none of that, a label is none of `labels`, or one text has two
            labels.
    """
    try:
        raw = file.read_bytes()
        lines = raw.decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"--texts {file}: cannot be read as UTF-8 text: {error}") from error
    objects = file.suffix == ".jsonl"
    if (pairs or labelled) and not objects:
        needed = "pairs of texts" if pairs else "labels"
        raise InvalidConfig(f"--texts {file}: {needed} need JSON lines, in a file whose name ends in .jsonl")
    found: dict[tuple[str, str], FittingText] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"--texts {file}, line {number}"
        each = _of(line, where, labels, pairs=pairs, labelled=labelled) if objects else FittingText(text=line.strip())
        if found.setdefault((each.text, each.pair), each).label != each.label:
            raise InvalidConfig(f"{where}: its text has another label before")
    by_words = {f"{each.text}\0{each.pair}": each for each in found.values()}
    order = seeded_order(by_words, seed=0)
    return FittingTexts(texts=[by_words[words] for words in order], sha256=hashlib.sha256(raw).hexdigest())


def _of(line: str, where: str, labels: Sequence[str], *, pairs: bool, labelled: bool) -> FittingText:
    try:
        stated = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidConfig(f"{where}: it is no JSON") from error
    names = ("text", *(("text_pair",) if pairs else ()), *(("label",) if labelled else ()))
    if not isinstance(stated, dict) or not all(isinstance(stated.get(name), str) for name in names):
        raise InvalidConfig(f"{where}: an object with {', '.join(names)} is expected, each a string")
    label = stated["label"] if labelled else ""
    if labelled and label not in labels:
        raise InvalidConfig(f"{where}: its label is none of the pipelines': {', '.join(labels)}")
    return FittingText(text=stated["text"], pair=stated["text_pair"] if pairs else "", label=label)
