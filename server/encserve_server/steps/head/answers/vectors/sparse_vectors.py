"""The head of sparse-embedding: weights of the whole vocabulary to those that are not zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....request.options import InvalidArgument, Options
from ...fit import Fit
from ..scores import descending


class Head:
    """Token ids and weights of each text, heaviest first."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.fit = Fit({"vocabulary_weights": ("texts", "vocabulary")})

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return `term_count` (n,), and `token_id` and `weight` (E,) of the terms of all texts, from their weights (n,
        V)."""
        ids, weights = [], []
        if not len(inputs["vocabulary_weights"]):
            raise InvalidArgument("the request has no texts")
        for row in inputs["vocabulary_weights"]:
            terms = np.flatnonzero(row > 0)
            heaviest = terms[descending(row[terms], options["top_k"])]
            ids.append(heaviest)
            weights.append(row[heaviest])
        return {
            "term_count": np.array([len(terms) for terms in ids], np.int32),
            "token_id": np.concatenate(ids).astype(np.int32),
            "weight": np.concatenate(weights),
        }
