"""The project's own texts, in three parts that share nothing: to calibrate, to choose among ways, and to certify.

A precision that is judged by the texts it was made with looks better than it is. So each part was written apart, and
`tests/unit/export/texts/test_corpus.py` holds that no five words in a row stand in two of them. `CONTRIBUTING.md` says
how to add texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

from .sampling import documents_of, seeded_order, spread_order

_FOLDER = Path(__file__).with_name("corpus")


class Part(Enum):
    """What a part of the corpus is for, and the folder of its files."""

    CALIBRATION = "calibration"
    """The only texts that a precision may look at while it is made."""
    CHOICE = "choice"
    """The only texts by which layers, ways and scales are chosen."""
    CERTIFICATE = "certificate"
    """The only texts by which an export is judged: nothing that is made or chosen may depend on them."""


@dataclass(frozen=True, kw_only=True)
class CorpusText:
    """One text."""

    text: str
    script: str
    """Of most of its letters, as Unicode names it: `Latin`, `Han`, `Devanagari`; `Common` where it has no letters."""
    domain: str
    """What kind of text it is: `prose`, `log`, `address`, `document` ..."""
    group: str = ""
    """The subject that it shares with a few other texts of its part; empty if it stands alone."""


@dataclass(frozen=True)
class Corpus:
    """The texts of one part."""

    texts: tuple[CorpusText, ...]
    """Each once, in the order of the files."""

    @property
    def sha256(self) -> str:
        """Digest of the texts in their order, in hexadecimal: the same on every machine."""
        return digest_of([each.text for each in self.texts])

    def sample(self, count: int | None = None, *, seed: int = 0, longest_tokens: int) -> tuple[CorpusText, ...]:
        """`count` texts spread over scripts, domains and lengths, the shortest first; None takes every text there is.

        The first is the empty text. A quarter are documents of many texts, up to one that is longer than
        `longest_tokens` tokens of any usual tokenizer; the others are texts as they stand. Equal arguments give equal
        texts on every machine.
        """
        if count is None:
            count = 1 + len(self.texts) + len(self.texts) // 3
        whole = spread_order(self.texts, seed)[: count - count // 4 - 1]
        long = documents_of(self.texts, count - len(whole) - 1, seed=seed, longest_tokens=longest_tokens)
        documents = [CorpusText(text=text, script=script, domain="document") for text, script in long]
        empty = CorpusText(text="", script="Common", domain="empty")
        return tuple(sorted([empty, *whole, *documents], key=lambda each: len(each.text.encode())))

    def related(self, count: int, *, seed: int = 0) -> tuple[CorpusText, ...]:
        """`count` texts at most that have others about their very subject beside them: whole groups, one by one."""
        groups: dict[str, list[CorpusText]] = {}
        for each in self.texts:
            if each.group:
                groups.setdefault(each.group, []).append(each)
        return tuple(each for name in seeded_order(groups, seed) for each in groups[name])[:count]


@cache
def corpus_of(part: Part) -> Corpus:
    """The texts of a part, out of the files of its folder."""
    lines = [
        line
        for file in sorted((_FOLDER / part.value).glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").split("\n")
        if line
    ]
    return Corpus(tuple(CorpusText(**json.loads(line)) for line in lines))


def digest_of(texts: Sequence[str]) -> str:
    """SHA-256 of texts in their order, in hexadecimal."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
