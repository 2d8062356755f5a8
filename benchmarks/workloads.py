"""The texts: seeded, and the same for all systems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LONGEST = 256
"""Tokens, of which two are special."""
COUNT = 2_048
TOKENS_PER_WORD = 1.25
"""Of English prose by a vocabulary of 30,000 pieces, about; a word of ours is one token, so that more stand for it."""
WORDS = (
    *("the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "was", "on", "with", "as", "by", "at"),
    *("from", "server", "model", "text", "answer", "machine", "weather", "mountain", "harbour", "evening"),
    *("contract", "patient", "protein", "river", "station", "planet", "music", "paint", "window", "kitchen"),
    *("garden", "letter", "teacher", "student", "question", "reason", "measure", "network", "memory", "budget"),
)
"""Each is one token, which `make_workload` checks."""


@dataclass(frozen=True)
class Workload:
    """Texts, and how long they are."""

    name: str
    texts: list[str]
    tokens: list[int]
    """Of each text."""


def _lognormal(rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.lognormal(3.22, 0.8, COUNT)


def _short(rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.integers(1, 15, COUNT).astype(float)


def _long(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.full(COUNT, float(LONGEST))


def _queries(rng: np.random.Generator) -> NDArray[np.float64]:
    return _lognormal_of(rng, 5.96 * TOKENS_PER_WORD, spread=0.4)


def _passages(rng: np.random.Generator) -> NDArray[np.float64]:
    return _lognormal_of(rng, 55.98 * TOKENS_PER_WORD, spread=0.4)


def _lognormal_of(rng: np.random.Generator, mean: float, *, spread: float) -> NDArray[np.float64]:
    return rng.lognormal(np.log(mean) - spread**2 / 2, spread, COUNT).round()


def _bimodal(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.where(rng.random(COUNT) < 0.05, _long(rng), _short(rng))


WORKLOADS: dict[str, Callable[[np.random.Generator], NDArray[np.float64]]] = {
    "mixed": _lognormal,
    "short": _short,
    "long": _long,
    "bimodal": _bimodal,
    "queries": _queries,
    "passages": _passages,
}
"""Name -> how many words the texts have: lengths as of queries and passages mixed, with a mean of about 35 tokens; up
to 16 tokens; all at the maximum; 95 of 100 short, the others at the maximum; with the means of MS MARCO's queries and
passages, 5.96 and 55.98 words (BEIR, Thakur et al. 2021, table 1), about which the spread is ours: no mean says it."""


def make_workload(name: str, checkpoint: Path) -> Workload:
    """The texts of a workload, with their tokens as the checkpoint's tokenizer counts them."""
    from tokenizers import Tokenizer

    rng = np.random.default_rng(0)
    words = WORKLOADS[name](rng).astype(int).clip(1, LONGEST - 2)
    texts = [" ".join(rng.choice(WORDS, count)) for count in words]
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokens = [len(encoding) for encoding in tokenizer.encode_batch(texts)]
    assert tokens == (words + 2).tolist(), "a word of WORDS is not one token"
    return Workload(name, texts, tokens)
