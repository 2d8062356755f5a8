"""How the answers of two versions to the same question differ: numbers about its texts, and nothing of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encserve import (
    Answer,
    Answers,
    Classifications,
    Embeddings,
    HybridEmbeddings,
    MaskFills,
    Ranking,
    SpanEmbeddings,
    SparseEmbeddings,
    TextScores,
    TokenClassifications,
    TokenEmbeddings,
)

_Terms = tuple[Sequence[NDArray[Any]], Sequence[NDArray[Any]]]

MOST_NEIGHBOURS = 256
"""Of so many texts of a call at most the nearest one is looked for."""


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What differs between two answers, text by text; of a ranking, between two orders."""

    asked: int
    """What could have changed: texts, and of a ranking the one order."""
    changed: int
    """Of these, whose first label, entities, first document, first span or first tokens are others; of vectors, whose
    nearest of the other texts is another; of vectors of spans, whose spans stand elsewhere."""
    scores: Sequence[float] = ()
    """Differences of scores, above zero or zero: of each text the largest."""
    cosines: Sequence[float] = ()
    """Cosines of the two vectors of each text; none where they differ in length. Where an answer has vectors of several
    kinds, those of each kind."""

    @property
    def is_finite(self) -> bool:
        """Whether all of its numbers are: one that is not would spoil a sum for good."""
        return all(map(isfinite, (*self.scores, *self.cosines)))


def differences(active: Answer, candidate: Answer) -> Differences | None:
    """Compare two answers of the same verb to the same texts; None where there is nothing to compare."""
    compare = _BY_ANSWER.get(type(active))
    return None if compare is None or type(active) is not type(candidate) else compare(active, candidate)


def _embeddings(one: Embeddings, other: Embeddings) -> Differences:
    return _vectors(one.vectors, other.vectors)


def _vectors(one: NDArray[Any], other: NDArray[Any]) -> Differences:
    mine, theirs = _unit(one), _unit(other)
    cosines = np.einsum("nd,nd->n", mine, theirs).tolist() if mine.shape == theirs.shape else []
    if not 3 <= len(mine) <= MOST_NEIGHBOURS:
        return Differences(asked=0, changed=0, cosines=cosines)
    changed = int((_nearest(mine) != _nearest(theirs)).sum())
    return Differences(asked=len(mine), changed=changed, cosines=cosines)


def _unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Vectors of whatever type (n, d) as floats of length 1; bits are -1 and 1."""
    if vectors.dtype == np.uint8:
        vectors = 2.0 * np.unpackbits(vectors, axis=1) - 1.0
    rows = vectors.astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = rows / np.where(lengths == 0, 1, lengths)
    return scaled


def _nearest(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    found = rows @ rows.T
    np.fill_diagonal(found, -np.inf)
    nearest: NDArray[np.int64] = found.argmax(axis=1)
    return nearest


def _token_embeddings(one: TokenEmbeddings, other: TokenEmbeddings) -> Differences:
    return _vectors_of_tokens(one.vectors, other.vectors)


def _vectors_of_tokens(one: Sequence[NDArray[Any]], other: Sequence[NDArray[Any]]) -> Differences:
    pairs = zip(one, other, strict=True)
    return Differences(
        asked=0,
        changed=0,
        cosines=[
            float(np.einsum("td,td->t", _unit(mine), _unit(theirs)).mean())
            for mine, theirs in pairs
            if mine.shape == theirs.shape and len(mine)
        ],
    )


def _sparse(one: SparseEmbeddings, other: SparseEmbeddings) -> Differences:
    return _terms((one.token_ids, one.weights), (other.token_ids, other.weights))


def _hybrid(one: HybridEmbeddings, other: HybridEmbeddings) -> Differences:
    """By all kinds that both have: vectors of texts, their terms, and vectors of their tokens."""
    kinds = []
    if one.vectors is not None and other.vectors is not None:
        kinds.append(_vectors(one.vectors, other.vectors))
    if one.token_ids is not None and other.token_ids is not None:
        kinds.append(_terms((one.token_ids, one.weights or []), (other.token_ids, other.weights or [])))
    if one.token_vectors is not None and other.token_vectors is not None:
        kinds.append(_vectors_of_tokens(one.token_vectors, other.token_vectors))
    return Differences(
        asked=sum(each.asked for each in kinds),
        changed=sum(each.changed for each in kinds),
        cosines=[cosine for each in kinds for cosine in each.cosines],
    )


def _spans(one: SpanEmbeddings, other: SpanEmbeddings) -> Differences:
    """Vectors are compared of the texts whose spans are the same; other tokens can move those that the server finds."""
    same = [row for row in range(len(one)) if np.array_equal(one.spans[row], other.spans[row])]
    found = _vectors_of_tokens([one.vectors[row] for row in same], [other.vectors[row] for row in same])
    return replace(found, asked=len(one), changed=len(one) - len(same))


def _terms(one: _Terms, other: _Terms) -> Differences:
    """Sparse vectors of texts, each its ids and weights."""
    cosines = []
    for own, others in zip(zip(*one, strict=True), zip(*other, strict=True), strict=True):
        mine, theirs = (dict(zip(ids.tolist(), weights.tolist(), strict=True)) for ids, weights in (own, others))
        lengths = float(np.linalg.norm(list(mine.values()))) * float(np.linalg.norm(list(theirs.values())))
        if lengths:
            cosines.append(sum(mine[term] * theirs[term] for term in mine.keys() & theirs.keys()) / lengths)
    return Differences(asked=0, changed=0, cosines=cosines)


@dataclass
class _Rows:
    """Differences, gathered row by row."""

    changed: int = 0
    scores: list[float] = field(default_factory=list)

    def add(self, is_changed: bool, mine: Mapping[Any, float], theirs: Mapping[Any, float]) -> None:
        """A row: whether it changed, and the scores of what it has."""
        self.changed += is_changed
        if common := mine.keys() & theirs.keys():
            self.scores.append(max(abs(mine[key] - theirs[key]) for key in common))

    def told(self, asked: int) -> Differences:
        return Differences(asked=asked, changed=self.changed, scores=self.scores)


def _labels(one: Classifications, other: Classifications) -> Differences:
    rows = _Rows()
    for row in range(len(one)):
        mine, theirs = (dict(zip(each.labels[row], each.scores[row].tolist(), strict=True)) for each in (one, other))
        rows.add(one.labels[row][:1] != other.labels[row][:1], mine, theirs)
    return rows.told(len(one))


def _ranking(one: Ranking, other: Ranking) -> Differences:
    rows = _Rows()
    if len(one.indices):
        mine, theirs = (dict(zip(each.indices.tolist(), each.scores.tolist(), strict=True)) for each in (one, other))
        rows.add(one.indices[0] != other.indices[0], mine, theirs)
    return rows.told(min(1, len(one.indices)))


def _spans_of(found: Iterable[Any], key: Callable[[Any], Hashable]) -> dict[Hashable, float]:
    return {key(each): float(each.score) for each in found}


def _entities(one: TokenClassifications, other: TokenClassifications) -> Differences:
    rows = _Rows()
    for row in range(len(one)):
        mine, theirs = (
            _spans_of(each.entities[row], lambda entity: (entity.label, entity.start, entity.end))
            for each in (one, other)
        )
        rows.add(mine.keys() != theirs.keys(), mine, theirs)
    return rows.told(len(one))


def _answers(one: Answers, other: Answers) -> Differences:
    rows = _Rows()
    for row in range(len(one.spans)):
        mine, theirs = (_spans_of(each.spans[row], lambda span: (span.start, span.end)) for each in (one, other))
        rows.add(next(iter(mine), None) != next(iter(theirs), None), mine, theirs)
    return rows.told(len(one.spans))


def _fills(one: MaskFills, other: MaskFills) -> Differences:
    rows = _Rows()
    for row in range(len(one)):
        firsts = [[mask[0].token_id for mask in each.masks[row] if mask] for each in (one, other)]
        mine, theirs = (
            {(place, fill.token_id): float(fill.score) for place, mask in enumerate(each.masks[row]) for fill in mask}
            for each in (one, other)
        )
        rows.add(firsts[0] != firsts[1], mine, theirs)
    return rows.told(len(one))


def _text_scores(one: TextScores, other: TextScores) -> Differences:
    return Differences(asked=0, changed=0, scores=np.abs(one.log_likelihoods - other.log_likelihoods).tolist())


_BY_ANSWER: Mapping[type[Answer], Callable[[Any, Any], Differences]] = {
    Embeddings: _embeddings,
    TokenEmbeddings: _token_embeddings,
    SparseEmbeddings: _sparse,
    HybridEmbeddings: _hybrid,
    SpanEmbeddings: _spans,
    Classifications: _labels,
    Ranking: _ranking,
    TokenClassifications: _entities,
    Answers: _answers,
    MaskFills: _fills,
    TextScores: _text_scores,
}
