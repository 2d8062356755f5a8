"""Texts as the elements of a BYTES tensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def bytes_tensor(texts: Sequence[str]) -> NDArray[np.object_]:
    """Return texts as an array (n,) of their bytes in UTF-8."""
    array = np.empty(len(texts), np.object_)
    array[:] = [text.encode() for text in texts]
    return array
