"""The head of sparse-embedding where a table answers queries: the terms of either kind of text, heaviest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....request.options import InvalidArgument, Options
from ...fit import Fit
from ..scores import descending
from .sparse_vectors import Head as Documents


class Head:
    """Token ids and weights of each text: of documents as the network gave them, of queries as they were looked up."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._documents = Documents(settings)
        self.fit = Fit(
            {
                **self._documents.fit.shapes,
                "query_term_count": ("queries",),
                "query_term_id": ("terms",),
                "query_term_weight": ("terms",),
            }
        )

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return `term_count` (n,), and `token_id` and `weight` (E,) of the terms of all texts."""
        if options["input_type"] == "document":
            return self._documents.answer(inputs, options)
        counts = inputs["query_term_count"]
        ids, weights = inputs["query_term_id"], inputs["query_term_weight"]
        if not len(counts):
            raise InvalidArgument("the request has no texts")
        if counts.min() < 0 or int(counts.sum(dtype=np.int64)) != len(ids):
            raise InvalidArgument(f"input query_term_count does not add up to the {len(ids)} terms")
        ends = np.cumsum(counts)[:-1]
        orders = [descending(own, options["top_k"]) for own in np.split(weights, ends)]
        chosen = [begin + order for begin, order in zip([0, *ends.tolist()], orders, strict=True)]
        places = np.concatenate(chosen)
        return {
            "term_count": np.array([len(order) for order in orders], np.int32),
            "token_id": ids[places],
            "weight": weights[places],
        }
