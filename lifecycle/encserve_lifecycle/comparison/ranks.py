"""Which texts are nearest to each query, and how much two such lists have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DEPTH = 100
"""So many of the nearest texts are looked at."""
PERSISTENCE = 0.9
"""Of rank-biased overlap: the first ten ranks have 86 % of the weight."""
TIE = 1e-6
"""Similarities this close are equal: either text may come first."""
_ROWS_AT_ONCE = 256

Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """The nearest texts of each query, nearest first."""

    order: NDArray[np.int64]
    """Indices of texts, (queries, depth)."""
    similarity: NDArray[np.float32]
    """Cosine of each, (queries, depth)."""


def unit(vectors: Vectors) -> Vectors:
    """Vectors (n, d) scaled to length 1; a vector of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = vectors / np.where(lengths == 0, 1, lengths)
    return scaled


def similarities(queries: Vectors, texts: Vectors, own: NDArray[np.int64] | None) -> NDArray[np.float32]:
    """Cosines (q, n) of queries (q, d) with texts (n, d), both of length 1; -inf where a query is that text itself:
    `own` (q,) says which text each query is."""
    found: NDArray[np.float32] = queries @ texts.T
    if own is not None:
        found[np.arange(len(queries)), own] = -np.inf
    return found


def nearest(queries: Vectors, texts: Vectors, own: NDArray[np.int64] | None = None) -> Ranked:
    """Rank the texts for each query by cosine; texts that tie stand in the order of the file."""
    queries, texts = unit(queries), unit(texts)
    depth = min(DEPTH, len(texts) - (own is not None))
    orders, values = [], []
    for begin in range(0, len(queries), _ROWS_AT_ONCE):
        rows = slice(begin, begin + _ROWS_AT_ONCE)
        found = similarities(queries[rows], texts, None if own is None else own[rows])
        order = np.argsort(-found, axis=1, kind="stable")[:, :depth]
        orders.append(order)
        values.append(np.take_along_axis(found, order, axis=1))
    return Ranked(order=np.concatenate(orders), similarity=np.concatenate(values))


def same_first(old: Ranked, new: Ranked) -> NDArray[np.bool_]:
    """Whether the text that comes first is the same (queries,), or one that ties with it."""
    tied = old.similarity >= old.similarity[:, :1] - TIE
    same: NDArray[np.bool_] = np.any(tied & (old.order == new.order[:, :1]), axis=1)
    return same


def overlap(old: Ranked, new: Ranked, k: int) -> NDArray[np.float64]:
    """The share of each query's first `k` texts that are among its first `k` of the other side, (queries,).

    A text that ties with the last of them counts as one of them.
    """
    k = min(k, old.order.shape[1])
    tied = old.similarity >= old.similarity[:, k - 1 : k] - TIE
    shared = [
        len(set(mine[held].tolist()) & set(theirs.tolist()))
        for mine, held, theirs in zip(old.order, tied, new.order[:, :k], strict=True)
    ]
    return np.array(shared, np.float64) / k


def rank_biased_overlap(old: Ranked, new: Ranked) -> NDArray[np.float64]:
    """Extrapolated rank-biased overlap of each query's two lists, (queries,): Webber, Moffat and Zobel (2010)."""
    depth = old.order.shape[1]
    weights = PERSISTENCE ** np.arange(1, depth + 1)
    shared = np.array([_agreed(mine, theirs) for mine, theirs in zip(old.order, new.order, strict=True)], np.float64)
    agreement = shared / np.arange(1, depth + 1)
    extrapolated = agreement[:, -1] * weights[-1]
    result: NDArray[np.float64] = extrapolated + (1 - PERSISTENCE) / PERSISTENCE * (agreement * weights).sum(axis=1)
    return result


def _agreed(mine: NDArray[np.int64], theirs: NDArray[np.int64]) -> list[int]:
    """How many texts the first d ranks of both lists share, for each d."""
    seen: set[int] = set()
    shared, counts = 0, []
    for first, second in zip(mine.tolist(), theirs.tolist(), strict=True):
        shared += 1 if first == second else (first in seen) + (second in seen)
        seen.update((first, second))
        counts.append(shared)
    return counts


def gain_at(
    ranked: Ranked, ids: Sequence[str], relevant: Sequence[Mapping[str, float]], k: int = 10
) -> NDArray[np.float64]:
    """nDCG of the first `k` texts of each query, (queries,): Järvelin and Kekäläinen (2002), with linear gains."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    found = []
    for order, gains in zip(ranked.order[:, :k], relevant, strict=True):
        reached = np.array([gains.get(ids[index], 0.0) for index in order])
        best = np.array(sorted(gains.values(), reverse=True)[:k])
        found.append((reached @ discount[: len(reached)]) / (best @ discount[: len(best)]))
    return np.array(found)
