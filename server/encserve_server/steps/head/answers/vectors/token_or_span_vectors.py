"""The head of token-embedding where spans may be asked for: vectors of tokens, or of each span the mean of its tokens'.

With the states of the whole text a span is read in its context, which a text that is cut before it is read has lost
(Günther et al. 2024, late chunking).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....request.options import InvalidArgument, Options
from ...fit import Fit
from ..scores import Floats
from .text_vectors import finish_vectors, in_forms

_COLUMNS = 64
"""So many columns of running sums in float64 are kept at once, 32 MiB of 65,536 tokens."""


class Head:
    """One vector for each token, or for each span of tokens."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.fit = Fit(
            {"token_embedding": ("tokens", "width"), "span_at": ("spans", 2), "span_count": ("texts",)},
        )

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return `embedding`, or one of its shorter forms, of the vectors (T, H) of the tokens of all texts: (T,
        dimensions), or where a request asks for spans (C, dimensions) of these. The forms that were not asked for have
        no columns."""
        rows = inputs["token_embedding"]
        if options["spans"] is not None or options["span_by"] is not None:
            rows = means_of(rows, inputs["span_at"], inputs["span_count"])
        return in_forms(finish_vectors(rows, options), options)


def means_of(rows: Floats, at: NDArray[np.int32], counts: NDArray[np.int32]) -> Floats:
    """Return the means (C, H) of the rows (T, H) from `at[:, 0]` to `at[:, 1]`, out of running sums: the work grows
    with T + C, however long the spans are. Raises InvalidArgument for spans that no request has."""
    begins, ends = at[:, 0], at[:, 1]
    if len(at) and not (begins.min() >= 0 and ends.max() <= len(rows) and (begins < ends).all()):
        raise InvalidArgument(f"input span_at holds a span that is none of {len(rows)} tokens")
    if (total := int(counts.sum(dtype=np.int64))) != len(at) or counts.min(initial=0) < 0:
        raise InvalidArgument(f"input span_count adds up to {total}; there are {len(at)} spans")
    means = np.empty((len(at), rows.shape[1]), np.float32)
    if len(at):
        sizes = (ends - begins)[:, None]  # (C, 1)
        for first in range(0, rows.shape[1], _COLUMNS):
            columns = slice(first, first + _COLUMNS)
            sums = np.zeros((len(rows) + 1, rows[:0, columns].shape[1]))  # (T + 1, columns), of all rows before each
            np.cumsum(rows[:, columns], axis=0, dtype=np.float64, out=sums[1:])
            means[:, columns] = (sums[ends] - sums[begins]) / sizes
    return means
