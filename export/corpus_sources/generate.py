"""Generates the structured texts of the corpus: logs, addresses, titles of products, tables, long words.

Each part has patterns and words of its own, in `words/PART.json`, so that no two parts share a phrase. A pattern is a
text in which `{city}` stands for one of the words under `city`, `{99}` for two digits and `{ffff}` for four hexadecimal
ones; a pattern with `row` has a few rows of that kind after it. Run `python -m corpus_sources.generate` in `export/`
after a change; a test compares.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from encserve_export.texts.parts import Part

from .scripts import script_of

CORPUS = Path(__file__).parents[1] / "encserve_export/texts/corpus"
_WORDS = Path(__file__).with_name("words")
_PLACE = re.compile(r"\{(9+|f+|[a-z_0-9]+)\}")
_FEWEST_ROWS, _MOST_ROWS = 2, 9
_TRIES = 20  # for each text that a pattern shall give, as some come out twice


def file_of(part: Part) -> Path:
    """Where the generated texts of a part are."""
    return CORPUS / part.value / "generated.jsonl"


def lines_of(part: Part) -> list[str]:
    """The generated texts of a part as lines of JSON: the same on every machine."""
    source = json.loads((_WORDS / f"{part.value}.json").read_text(encoding="utf-8"))
    rng = random.Random(part.value)
    texts: dict[str, str] = {}  # text to domain, each text once
    for pattern in source["patterns"]:
        made: dict[str, str] = {}
        for _ in range(_TRIES * pattern["count"]):
            if len(made) < pattern["count"]:
                made[_filled(pattern, source["words"], rng)] = pattern["domain"]
        if len(made) < pattern["count"]:
            raise ValueError(f"{pattern['text']} has too few words for {pattern['count']} texts")
        texts |= made
    return [
        json.dumps({"text": text, "script": script_of(text), "domain": domain}, ensure_ascii=False)
        for text, domain in texts.items()
    ]


def _filled(pattern: Mapping[str, Any], words: Mapping[str, Sequence[str]], rng: random.Random) -> str:
    rows = _FEWEST_ROWS + _below(_MOST_ROWS - _FEWEST_ROWS + 1, rng) if "row" in pattern else 0
    pieces = [pattern["text"], *[pattern.get("row", "")] * rows, pattern.get("end", "")]
    return _PLACE.sub(lambda place: _word(place[1], words, rng), "".join(pieces))


def _word(place: str, words: Mapping[str, Sequence[str]], rng: random.Random) -> str:
    if place in words:
        return words[place][_below(len(words[place]), rng)]
    digits = "0123456789abcdef" if place[0] == "f" else "0123456789"
    return "".join(digits[_below(len(digits), rng)] for _ in place)


def _below(limit: int, rng: random.Random) -> int:
    """A number of 0 to `limit` - 1. Of `random`, only `random()` itself is promised to stay as it is."""
    return int(rng.random() * limit)


if __name__ == "__main__":
    for each in Part:
        file_of(each).write_text("\n".join(lines_of(each)) + "\n", encoding="utf-8")
