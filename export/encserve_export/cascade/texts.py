"""The texts that a cascade is fitted on, out of a file."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
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
    """The texts of a file, in an order that looks random and does not depend on that of the lines."""

    texts: Sequence[FittingText]
    """One for each line, so as often as it stands there: what is stated is a share of what is asked, and a text that is
    asked often counts as often."""
    sha256: str
    """Of the file."""


def read_fitting_texts(file: Path, labels: Sequence[str], *, pairs: bool, labelled: bool) -> FittingTexts:
    """Read a text from each line that is not blank; of a file whose name ends in `.jsonl`, an object with `text`, and
    `text_pair` of `pairs`, and `label` where they are to be `labelled`.

    Raises:
        InvalidConfig: the file cannot be read, a line is none of that, a text is none in UTF-8, a label is none of
            `labels`, or one text has two labels.
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
    counts: Counter[tuple[str, str]] = Counter()
    labels_of: dict[tuple[str, str], str] = {}
    found: dict[str, FittingText] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"--texts {file}, line {number}"
        each = _of(line, where, labels, pairs=pairs, labelled=labelled) if objects else FittingText(text=line.strip())
        words = each.text, each.pair
        if labels_of.setdefault(words, each.label) != each.label:
            raise InvalidConfig(f"{where}: its text has another label before")
        counts[words] += 1
        found[json.dumps([*words, counts[words]])] = each
    order = seeded_order(found, seed=0)
    return FittingTexts(texts=[found[line] for line in order], sha256=hashlib.sha256(raw).hexdigest())


def _of(line: str, where: str, labels: Sequence[str], *, pairs: bool, labelled: bool) -> FittingText:
    try:
        stated = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidConfig(f"{where}: it is no JSON") from error
    names = ("text", *(("text_pair",) if pairs else ()), *(("label",) if labelled else ()))
    if not isinstance(stated, dict) or not all(isinstance(stated.get(name), str) for name in names):
        raise InvalidConfig(f"{where}: an object with {', '.join(names)} is expected, each a string")
    text, pair = stated["text"], stated["text_pair"] if pairs else ""
    try:
        f"{text}{pair}".encode()
    except UnicodeEncodeError:
        raise InvalidConfig(f"{where}: its text holds half of a surrogate pair, which is no character") from None
    label = stated["label"] if labelled else ""
    if labelled and label not in labels:
        raise InvalidConfig(f"{where}: its label is none of the pipelines': {', '.join(labels)}")
    return FittingText(text=text, pair=pair, label=label)
