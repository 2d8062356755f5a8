"""A batch of texts of any lengths, cut into micro-batches of similar lengths.

Attention works on a padded view, so texts that share a micro-batch should be about as long as each other; and a
micro-batch should fit the processor's caches. Linear layers see only real tokens whatever the split.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def micro_batches(lengths: NDArray[np.int64], *, token_budget: int, workers: int) -> list[NDArray[np.intp]]:
    """Split texts of `lengths` (n,) into groups of text indices, longest texts first.

    The groups share the tokens as evenly as whole texts allow, and each of the `workers` gets as many groups as the
    others, so that all of them finish at about the same time. On average a group holds no more than `token_budget`
    tokens; one text alone may be longer.
    """
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    total = int(ordered.sum())
    rounds = max(1, -(-total // (token_budget * workers)))
    share = max(1.0, total / (rounds * workers))
    # A text belongs to the share that its middle token lies in.
    shares = ((np.cumsum(ordered) - ordered / 2) // share).astype(np.int64)
    return np.split(order, np.flatnonzero(np.diff(shares)) + 1) if len(order) else []
