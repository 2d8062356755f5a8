"""A batch of texts of any lengths, cut into micro-batches of similar lengths.

Attention works on a padded view, so texts that share a micro-batch should be about as long as each other; and a
micro-batch should fit the processor's caches. Linear layers see only real tokens whatever the split.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def micro_batches(lengths: NDArray[np.int64], *, token_budget: int, workers: int) -> list[NDArray[np.intp]]:
    """Split texts of `lengths` (n,) into groups of text indices, longest texts first.

    A group holds at most `token_budget` tokens, or one text. With several workers the groups get smaller where that
    keeps all of them busy.
    """
    order = np.argsort(-lengths, kind="stable")
    budget = max(1, min(token_budget, -(-int(lengths.sum()) // workers)))
    groups: list[NDArray[np.intp]] = []
    begin = tokens = 0
    for position, length in enumerate(lengths[order].tolist()):
        if position > begin and tokens + length > budget:
            groups.append(order[begin:position])
            begin, tokens = position, 0
        tokens += length
    if len(order) > begin:
        groups.append(order[begin:])
    return groups
