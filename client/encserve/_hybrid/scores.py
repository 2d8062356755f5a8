"""Scores of documents for queries by vectors of texts, by terms, and by vectors of tokens, as FlagEmbedding defines
them for BGE-M3 (Chen et al. 2024, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encserve._errors import InvalidInput
from encserve._max_sim import max_sim

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class HybridScores:
    """Scores of documents for queries; a kind that queries or documents lack is None."""

    dense: Floats | None
    """Products of the vectors of texts, (queries, documents)."""
    sparse: Floats | None
    """Sums, over the terms that both have, of the products of their weights, (queries, documents)."""
    tokens: Floats | None
    """Means, over the vectors of a query's tokens, of the largest product with one of the document's, (queries,
    documents)."""
    combined: Floats
    """The mean of these with the weights that were asked for, (queries, documents)."""


def dense_scores(queries: Floats, documents: Floats) -> Floats:
    """Products of vectors (q, d) and (n, d): (q, n)."""
    if queries.shape[1] != documents.shape[1]:
        raise InvalidInput(f"vectors of {queries.shape[1]} and of {documents.shape[1]} numbers do not compare")
    products: Floats = queries @ documents.T
    return products


def sparse_scores(
    query_ids: Sequence[NDArray[np.int32]],
    query_weights: Sequence[Floats],
    ids: Sequence[NDArray[np.int32]],
    weights: Sequence[Floats],
) -> Floats:
    """Products of sparse vectors, the q queries' and the n documents', each ids (terms,) and their weights: (q, n)."""
    owners = np.repeat(np.arange(len(ids)), [len(own) for own in ids])  # (E,) of all terms of all documents
    terms = np.concatenate([np.empty(0, np.int32), *ids])
    heavy = np.concatenate([np.empty(0, np.float32), *weights])
    scores = np.zeros((len(query_ids), len(ids)), np.float32)
    for row, (own, of_own) in enumerate(zip(query_ids, query_weights, strict=True)):
        order = np.argsort(own)
        known = own[order]
        place = np.minimum(np.searchsorted(known, terms), max(0, len(known) - 1))
        met = known[place] == terms if len(known) else np.zeros(len(terms), np.bool_)
        products = of_own[order][place[met]] * heavy[met]
        scores[row] = np.bincount(owners[met], products, len(ids))
    return scores


def token_scores(queries: Sequence[Floats], documents: Sequence[Floats]) -> Floats:
    """MaxSim of the vectors of the tokens of q queries and n documents, divided by the query's vectors: (q, n). A text
    without any scores 0."""
    counts = np.array([max(len(query), 1) for query in queries], np.float32).reshape(-1, 1)
    scores: Floats = max_sim(queries, documents) / counts
    return scores


def weighted_mean(scores: Sequence[Floats | None], weights: Sequence[float]) -> Floats:
    """The mean of those scores that are there. Raises InvalidInput where none of them has a weight above 0."""
    there = [(each, weight) for each, weight in zip(scores, weights, strict=True) if each is not None]
    total = sum(weight for _, weight in there)
    if not total:
        raise InvalidInput(
            f"weights are {list(weights)}, and of the kinds of scores that they are for, none that queries and "
            "documents both have has a weight above 0"
        )
    combined: Floats = np.sum([each * np.float32(weight) for each, weight in there], axis=0) / np.float32(total)
    return combined
