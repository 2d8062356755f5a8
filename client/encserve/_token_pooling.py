"""Fewer vectors for a document of late interaction: those of similar tokens become their mean, so that an index shrinks
(Clavié, Chaffin and Adams 2024, hierarchical token pooling)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST_NORM = 1e-12
"""What a vector is divided by at least, so that one of zeros stays one."""


def clusters_of(vectors: NDArray[np.float32], factor: float, protected: int) -> list[NDArray[np.intp]]:
    """The tokens of a document in clusters: by place, (m,), the first token of each rising.

    The first `protected` tokens stay by themselves. The t others become max(1, floor(t / factor)) clusters, by Ward's
    criterion on their cosine distances. What it takes grows with the square of t: 8 bytes for each pair of tokens.

    Args:
        vectors: (t, d), of any length.
    """
    alone = [np.array([place]) for place in range(min(protected, len(vectors)))]
    others = vectors[protected:]
    wanted = max(1, int(len(others) // factor))
    if wanted >= len(others):
        return [*alone, *(np.array([protected + place]) for place in range(len(others)))]
    firsts = np.arange(len(others))
    units = others / np.maximum(np.linalg.norm(others, axis=1, keepdims=True), SMALLEST_NORM)
    for one, other in _merges(units)[: len(others) - wanted]:
        first, second = sorted((firsts[one], firsts[other]))
        firsts[firsts == second] = first
    return [*alone, *(protected + np.flatnonzero(firsts == first) for first in np.unique(firsts))]


def _merges(vectors: NDArray[np.float32]) -> list[tuple[int, int]]:
    """The tokens (t, d), of length one or zero, merged two by two until one cluster is left, nearest first: of each
    merge a token of the one cluster and a token of the other.

    Murtagh's chain of nearest neighbours: in it two clusters that are each other's nearest merge, wherever others are.
    """
    count = len(vectors)
    distances = np.clip(1 - vectors @ vectors.T, 0, 2).astype(np.float64)  # (t, t)
    np.fill_diagonal(distances, np.inf)
    sizes = np.ones(count)
    chain: list[int] = []
    merges: list[tuple[float, int, int]] = []
    while len(merges) < count - 1:
        if not chain:
            chain.append(int(np.flatnonzero(sizes)[0]))
        last = chain[-1]
        nearest = int(distances[last].argmin())
        if len(chain) > 1 and distances[last, chain[-2]] <= distances[last, nearest]:
            nearest = chain[-2]
        if len(chain) < 2 or nearest != chain[-2]:
            chain.append(nearest)
            continue
        chain = chain[:-2]
        height = float(distances[last, nearest])
        merges.append((height, last, nearest))
        _merge(distances, sizes, last, nearest)
    return [(one, other) for _, one, other in sorted(merges, key=lambda merge: merge[0])]


def _merge(distances: NDArray[np.float64], sizes: NDArray[np.float64], gone: int, kept: int) -> None:
    """Put the cluster `gone` into `kept`: the distances (t, t) of that from all others, by Lance and Williams' formula
    for Ward's criterion. What is gone is infinitely far."""
    together = sizes[gone] + sizes[kept]
    height = distances[gone, kept]
    with np.errstate(invalid="ignore"):  # of what is gone already
        squares = (
            (sizes + sizes[gone]) * distances[gone] ** 2
            + (sizes + sizes[kept]) * distances[kept] ** 2
            - sizes * height**2
        ) / (sizes + together)
        row = np.sqrt(squares)
    row[(sizes == 0) | ~np.isfinite(row)] = np.inf
    row[[gone, kept]] = np.inf
    distances[kept], distances[:, kept] = row, row
    distances[gone], distances[:, gone] = np.inf, np.inf
    sizes[kept], sizes[gone] = together, 0
