"""What the windows of a long text say together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .scores import Floats


def mean_of_windows(rows: Floats, lengths: NDArray[np.int64], counts: NDArray[np.int32]) -> Floats:
    """Return the mean (n, C) of each text's windows, weighted by their tokens, from (W, C), the tokens (W,), and (n,)
    windows of each text."""
    if len(rows) == len(counts):  # one window each
        return rows
    firsts = np.cumsum(counts) - counts
    weighted = np.add.reduceat(rows * lengths[:, None].astype(np.float32), firsts, axis=0)
    return np.divide(weighted, np.add.reduceat(lengths, firsts)[:, None], dtype=np.float32)
