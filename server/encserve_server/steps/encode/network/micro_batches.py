"""A batch of texts of any lengths, cut into micro-batches of similar lengths.

Attention works on a padded view, so a text costs more beside a longer one; linear layers see only real tokens. Where a
micro-batch is cut follows from what it costs: one of n texts with T tokens, the longest of L, takes as long as

    overhead + T + pair n L**2

tokens in the linear layers do (`benchmarks/cost/micro_batch_cost.py` fits it to what a machine measures).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a micro-batch costs beside the linear layers of its tokens, in units of what those cost for one token."""

    overhead: float
    """The cost of each micro-batch by itself: reading the weights, and starting each operator."""
    pair: float
    """The cost of one pair of a query and a key, all heads together."""


def micro_batches(lengths: NDArray[np.int64], *, token_budget: int, workers: int, cost: Cost) -> list[NDArray[np.intp]]:
    """Split texts of `lengths` (n,) into groups of text indices, those with most tokens first.

    Texts are taken by length, the longest first. A group ends where one more text would make its padding worth an
    overhead, or its tokens more than `token_budget` or more than a share of one of the `workers`. One text alone may be
    longer.
    """
    order = np.argsort(-lengths, kind="stable")
    budget = min(token_budget, _share(int(lengths.sum()), workers, cost))
    groups: list[tuple[int, int, int]] = []  # tokens, begin, end
    begin = tokens = longest = 0
    padding = 0.0
    for place, length in enumerate(lengths[order].tolist()):
        padding += cost.pair * (longest**2 - length**2)
        if place > begin and (padding > cost.overhead or tokens + length > budget):
            groups.append((tokens, begin, place))
            begin, tokens = place, 0
        if place == begin:
            longest, padding = length, 0.0
        tokens += length
    if len(order):
        groups.append((tokens, begin, len(order)))
    groups.sort(key=lambda group: -group[0])  # the longest first, so that the workers end at about the same time
    return [order[begin:end] for _, begin, end in groups]


def _share(tokens: int, workers: int, cost: Cost) -> float:
    """Return the most tokens of a group, so that several workers finish at about the same time."""
    share = tokens / workers
    if workers == 1:
        return share
    return share / 2 if share > 10 * cost.overhead else max(share, 1.0)
