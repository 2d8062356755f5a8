"""How long the texts are: from a sample of the user's own texts, a histogram, or a built-in distribution."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from encserve_loadtest.errors import InvalidPlan

Lengths: TypeAlias = NDArray[np.int64]
"""Tokens per text, (n,)."""


@dataclass(frozen=True, kw_only=True)
class LogNormal:
    """Text lengths whose logarithm is normal, as those of natural texts are, roughly."""

    median_tokens: float
    sigma: float
    """Standard deviation of the natural logarithm."""

    def draw(self, count: int, rng: np.random.Generator) -> Lengths:
        """Draw `count` lengths."""
        lengths: Lengths = np.rint(rng.lognormal(np.log(self.median_tokens), self.sigma, count)).astype(np.int64)
        return np.maximum(lengths, 1)


BUILT_IN: Mapping[str, LogNormal] = {
    "queries": LogNormal(median_tokens=10, sigma=0.5),
    "sentences": LogNormal(median_tokens=28, sigma=0.6),
    "passages": LogNormal(median_tokens=140, sigma=0.5),
}
"""Name -> distribution, made for this project: no sample of any product stands behind it."""

DEFAULT = "sentences"
DRAWN_LENGTHS = 5_000


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Which texts are asked for."""

    corpus: str = DEFAULT
    """A file, or the name of a built-in distribution; see `read_corpus`."""
    keep_texts: bool = False
    """Send the texts of the sample themselves; else texts of the same lengths."""
    texts_per_request: int = 1
    seed: int = 0
    """Of the random order."""
    made: str | None = None
    """Of texts that a pipeline makes, how long they are; see `made_lengths`."""
    streams: bool = False
    """Whether such texts come piece by piece."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """What the requests are made of. Exactly one of `texts` and `lengths` has content."""

    source: str
    """Where it comes from, for the report."""
    texts: tuple[str, ...] = ()
    """The user's texts; they are forgotten once the model has counted their tokens, unless they shall be sent."""
    lengths: Lengths | None = None


def read_corpus(name: str, *, rng: np.random.Generator) -> Corpus:
    """The corpus in a file, or the built-in distribution called `name`.

    FILE.jsonl holds one JSON object per line with the text under "text", or a plain JSON string; FILE.csv a histogram,
    one line "tokens,count" for each length.

    Raises:
        InvalidPlan: it is neither, the file cannot be read or is empty, or a line is malformed; the message names it.
    """
    if name in BUILT_IN:
        return Corpus(source=f"built-in {name}", lengths=BUILT_IN[name].draw(DRAWN_LENGTHS, rng))
    path = Path(name)
    if path.suffix not in (".jsonl", ".csv"):
        known = ", ".join(BUILT_IN)
        raise InvalidPlan(f"the corpus is {name!r}, expected {known}, FILE.jsonl of texts, or FILE.csv of tokens,count")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        number = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InvalidPlan(f"{path} line {number} is not UTF-8") from error
    except OSError as error:
        raise InvalidPlan(f"the corpus {path} cannot be read: {error.strerror}") from error
    filled = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not filled:
        raise InvalidPlan(f"the corpus {path} is empty")
    if path.suffix == ".jsonl":
        return Corpus(source=path.name, texts=tuple(text_of_line(path, number, line) for number, line in filled))
    return Corpus(source=path.name, lengths=_histogram_lengths(path, filled, rng))


def text_of_line(path: Path, number: int, line: str) -> str:
    """The text in a line of JSON. Raises InvalidPlan, which names the line."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise InvalidPlan(f"{path} line {number} is no JSON: {error.msg} at column {error.colno}") from error
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise InvalidPlan(f'{path} line {number} has no text: expected {{"text": "..."}} or a JSON string')
    return text


def _histogram_lengths(path: Path, lines: list[tuple[int, str]], rng: np.random.Generator) -> Lengths:
    tokens, counts = [], []
    for number, line in lines:
        try:
            length, count = map(int, next(csv.reader([line])))
        except ValueError as error:
            if number == lines[0][0] and "," in line and not any(map(str.isdigit, line)):
                continue  # a line of titles
            raise InvalidPlan(f'{path} line {number}: {line!r} is not "tokens,count" of two integers') from error
        if length < 1 or count < 0:
            raise InvalidPlan(
                f"{path} line {number}: {line!r} needs a positive length and a count that is not negative"
            )
        tokens.append(length)
        counts.append(count)
    total = sum(counts)
    if total == 0:
        raise InvalidPlan(f"the corpus {path} is empty: its counts add up to nothing")
    return rng.choice(np.array(tokens), DRAWN_LENGTHS, p=np.array(counts) / total)
