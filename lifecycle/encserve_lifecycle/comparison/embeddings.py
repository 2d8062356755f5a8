"""Two pipelines of vectors: what a search finds with one and with the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bounds import Bounded, mean, share
from .forms import Form, forms_of
from .groups import groups_of
from .ranks import Ranked, gain_at, overlap, rank_biased_overlap, same_first, unit
from .reading import Texts
from .search import Search
from .side import Asked, Side

SAME_SPACE = 0.999
"""Vectors whose least cosine with the other's is this or more may stand in one index."""
QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.995, 0.999)
"""Shares of all pairs of a query and a text below the thresholds that are moved."""
FIRST = 10


@dataclass(frozen=True, kw_only=True)
class Group:
    """The queries of one length or script."""

    name: str
    first: Bounded
    """Share of them whose first text is the same."""
    overlap: Bounded
    """Of the first ten."""


@dataclass(frozen=True)
class Threshold:
    """A similarity of the old pipeline, and that of the new one which as many pairs reach."""

    old: float
    new: float
    """Infinite where no pair reaches the old one."""
    above: float
    """The share of all pairs that reach it."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A form of the vectors of one side, and what it is worth."""

    side: str
    form: Form
    quality: Bounded
    """nDCG@10 where the queries say what is relevant, else the overlap of the first ten with the old pipeline's."""

    @property
    def title(self) -> str:
        """What it is in words."""
        return f"{self.side}, {self.form.dimensions} x {self.form.dtype}"


@dataclass(frozen=True, kw_only=True)
class EmbeddingComparison:
    """What was found."""

    search: Search
    first: Bounded
    overlap: Bounded
    rbo: Bounded
    cosine: tuple[float, float] | None
    """Mean and least cosine of each text's two vectors; None where they differ in length."""
    groups: list[Group]
    thresholds: list[Threshold]
    choices: list[Choice]
    gain: tuple[Bounded, Bounded, Bounded] | None
    """nDCG@10 of the old, of the new, and the difference query by query; None without relevant texts."""
    asked: Asked
    """The texts, by the new pipeline."""

    @property
    def same_space(self) -> bool:
        """Whether vectors of both may stand in one index."""
        return self.cosine is not None and self.cosine[1] >= SAME_SPACE


def compare_embeddings(
    sides: tuple[Side, Side], texts: Texts, queries: Texts | None, thresholds: Sequence[float]
) -> EmbeddingComparison:
    """Ask both about all texts and queries, and count what differs."""
    search = Search.of(texts, queries)
    relevant = queries.relevant if queries else []
    old, new = (search.ask(side) for side in sides)
    before, after = old.ranked(), new.ranked()

    def gains(ranked: Ranked) -> NDArray[np.float64]:
        return gain_at(ranked, texts.ids, relevant, FIRST)

    def worth(ranked: Ranked) -> Bounded:
        return mean(gains(ranked) if relevant else overlap(before, ranked, FIRST))

    first, shared = same_first(before, after), overlap(before, after, FIRST)
    groups = groups_of(search.queries, old.queries.answer.token_counts)
    return EmbeddingComparison(
        search=search,
        first=share(first),
        overlap=mean(shared),
        rbo=mean(rank_biased_overlap(before, after)),
        cosine=_cosine(old.texts, new.texts),
        groups=[Group(name=name, first=share(first[its]), overlap=mean(shared[its])) for name, its in groups.items()],
        thresholds=_moved(old.pairs(), new.pairs(), thresholds),
        choices=[
            Choice(side=side.title, form=form, quality=worth(found.ranked(form)))
            for side, found in zip(sides, (old, new), strict=True)
            for form in forms_of(side.pipeline.dimensions)
        ],
        gain=(worth(before), worth(after), mean(gains(after) - gains(before))) if relevant else None,
        asked=new.texts,
    )


def _cosine(old: Asked, new: Asked) -> tuple[float, float] | None:
    mine, theirs = old.answer.vectors, new.answer.vectors
    if mine.shape != theirs.shape:
        return None
    cosines = np.einsum("nd,nd->n", unit(mine), unit(theirs))
    return float(cosines.mean()), float(cosines.min())


def _moved(old: NDArray[np.float32], new: NDArray[np.float32], asked: Sequence[float]) -> list[Threshold]:
    """The thresholds asked for, and those at `QUANTILES`, moved so that as many pairs reach them."""
    falling = -np.sort(-new)
    at = sorted({*(float(np.quantile(old, each, method="higher")) for each in QUANTILES), *asked})
    reached = [int((old >= threshold).sum()) for threshold in at]
    return [
        Threshold(threshold, float(falling[min(count, len(falling)) - 1]) if count else np.inf, count / len(old))
        for threshold, count in zip(at, reached, strict=True)
    ]
