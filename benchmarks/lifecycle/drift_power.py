"""How often `encserve drift` calls windows of real texts another kind: of the baseline's own kind, and mixed with
others.

    python -m benchmarks.lifecycle.drift_power [--texts 3000] [--windows 400]

Texts are paragraphs of the docstrings of Python's standard library, as MiniLM embeds them. A third makes the baseline;
windows are drawn from the others, which it has not seen. Mixed in are texts of two other kinds out of encserve's
corpus: prose of many subjects, and logs, tables and other generated lines. A window is an hour's.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.exported import CHECKPOINT
from benchmarks.machine import describe_machine
from benchmarks.precision.precision_front import docstring_paragraphs
from encserve_export.texts.parts import Part, corpus_of
from encserve_lifecycle.drift.two_samples import State, Window, compare, false_alarms
from encserve_server.steps.head.projection import projected

HOUR_S = 3600.0
SIZES = (100, 500, 2_000)
"""Texts of a window."""
SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of a window that are of another kind."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Kinds:
    """Vectors along the directions, (n, K) each."""

    baseline: Floats
    held_out: Floats
    others: dict[str, Floats]


def main() -> None:
    """Embed, judge windows, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--texts", type=int, default=3_000)
    parser.add_argument("--windows", type=int, default=400)
    arguments = parser.parse_args()
    print(describe_machine())
    kinds = embedded(docstring_paragraphs(arguments.texts))
    draws = np.random.default_rng(0)
    print(f"baseline {len(kinds.baseline)} texts, held out {len(kinds.held_out)}, {arguments.windows} windows each")
    print("texts of a window: " + " ".join(f"{size:>7,}" for size in SIZES))
    print(row("none of another kind", kinds, "", 0.0, arguments.windows, draws))
    for name in kinds.others:
        for share in SHARES:
            print(row(f"{share:.0%} {name}", kinds, name, share, arguments.windows, draws))


def row(title: str, kinds: Kinds, other: str, share: float, windows: int, draws: np.random.Generator) -> str:
    """A row of the table: the share of windows of each size that are called another kind."""
    found = [called(kinds, other, share, size, windows, draws) for size in SIZES]
    return f"{title:<24}" + " ".join(f"{each:>7.1%}" for each in found)


def called(kinds: Kinds, other: str, share: float, size: int, windows: int, draws: np.random.Generator) -> float:
    """Return the share of windows of `size` texts that are called another kind, of which a `share` is of an `other`."""
    mean, covariance = kinds.baseline.mean(axis=0), np.cov(kinds.baseline, rowvar=False)
    told = 0
    for _ in range(windows):
        mixed = round(share * size)
        own = kinds.held_out[draws.integers(0, len(kinds.held_out), size - mixed)]
        total = own.sum(axis=0)
        if mixed:
            total = total + kinds.others[other][draws.integers(0, len(kinds.others[other]), mixed)].sum(axis=0)
        window = Window(texts=size, squares=size, total=total)
        alpha = false_alarms(HOUR_S)
        told += compare(window, mean, covariance, len(kinds.baseline), alpha=alpha).state is State.DRIFT
    return told / windows


def embedded(texts: Sequence[str]) -> Kinds:
    """Embed texts of one kind, and all of two others."""
    from sentence_transformers import SentenceTransformer

    model: Any = SentenceTransformer(str(CHECKPOINT), device="cpu")

    def of(some: Sequence[str]) -> Floats:
        return projected(model.encode(list(some), batch_size=32, convert_to_numpy=True))

    third = len(texts) // 3
    corpus = [each for part in Part for each in corpus_of(part).texts]
    prose = [each.text for each in corpus if each.domain == "prose"]
    generated = [each.text for each in corpus if each.domain != "prose"]
    return Kinds(
        baseline=of(texts[:third]),
        held_out=of(texts[third:]),
        others={"prose": of(prose), "logs and tables": of(generated)},
    )


if __name__ == "__main__":
    main()
