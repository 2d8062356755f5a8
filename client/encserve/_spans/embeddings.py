"""What `embed_spans` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encserve._results import Answer


@dataclass(frozen=True, kw_only=True, eq=False)
class SpanEmbeddings(Answer):
    """One vector for each span of texts."""

    vectors: list[NDArray[Any]]
    """For each text an array of shape (spans, dim), float32 or int8, or of binary vectors (spans, dim / 8), uint8."""
    spans: list[NDArray[np.int32]]
    """For each text an array of shape (spans, 2), int32: where each span begins and ends, as indices into the Python
    string."""
