"""The head of hybrid-embedding: the vector of a text, the weights of its tokens as a sparse vector, and the vectors of
its tokens, as far as a request wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....request.options import InvalidArgument, Options
from ...fit import Fit
from ..scores import Floats, descending
from .text_vectors import finish_vectors, in_forms


class Head:
    """Three answers out of one pass, each of which may be left out."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._no_terms = np.array(settings["no_terms"], np.int64)
        self.fit = Fit(
            {
                "input_ids": ("tokens",),
                "lengths": ("texts",),
                "vector_at": ("vectors",),
                "vector_count": ("texts",),
                "sentence_embedding": ("texts with a vector", "width"),
                "token_weight": ("tokens with a weight", 1),
                "token_vector": ("tokens with a vector", "token width"),
            },
            {"lengths": "tokens"},
            wanted_by={"sentence_embedding": "dense", "token_weight": "sparse", "token_vector": "tokens"},
        )

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return of n texts `embedding` (n, H), or one of its shorter forms; `term_count` (n,), and `token_id` and
        `weight` (E,) of the terms of all texts, heaviest first; and `token_embedding` (V, D), or one of its shorter
        forms, of the V tokens that have a vector. What is not wanted has no elements.

        Raises InvalidArgument.
        """
        dense = _wanted(inputs, "sentence_embedding", len(inputs["lengths"]), options["dense"])
        weights = _wanted(inputs, "token_weight", len(inputs["input_ids"]), options["sparse"])
        tokens = _wanted(inputs, "token_vector", len(inputs["input_ids"]), options["tokens"])
        of_tokens = tokens[self._places(inputs)] if options["tokens"] else tokens
        forms = in_forms(finish_vectors(of_tokens, {**options, "dimensions": None}), options)
        return {
            **in_forms(finish_vectors(dense, {**options, "dimensions": None}), options),
            **self._terms(inputs, weights[:, 0], options),
            **{f"token_{name}": vectors for name, vectors in forms.items()},
        }

    def _places(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.int32]:
        """Return which tokens have a vector, (V,). Raises InvalidArgument for places that no request has."""
        at, counts, tokens = inputs["vector_at"], inputs["vector_count"], len(inputs["input_ids"])
        if len(at) and not 0 <= at.min() <= at.max() < tokens:
            raise InvalidArgument(f"input vector_at holds {at.min()} to {at.max()}; 0 to {tokens - 1} are expected")
        if counts.min(initial=0) < 0 or int(counts.sum(dtype=np.int64)) != len(at):
            raise InvalidArgument(f"input vector_count adds up to {int(counts.sum(dtype=np.int64))}, not {len(at)}")
        return at

    def _terms(self, inputs: Mapping[str, NDArray[Any]], weights: Floats, options: Options) -> dict[str, NDArray[Any]]:
        counts, ids, heaviest = [], [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        if options["sparse"]:
            ends = np.cumsum(inputs["lengths"])[:-1]
            for own, of_own in zip(np.split(inputs["input_ids"], ends), np.split(weights, ends), strict=True):
                terms, largest = self._of_text(own, of_own)
                order = descending(largest, options["top_k"])
                counts.append(len(order))
                ids.append(terms[order])
                heaviest.append(largest[order])
        return {
            "term_count": np.array(counts, np.int32),
            "token_id": np.concatenate(ids).astype(np.int32),
            "weight": np.concatenate(heaviest),
        }

    def _of_text(self, ids: NDArray[np.int64], weights: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Return the terms of one text and their weights: of each token id the largest of its places, if above zero."""
        terms, term_of = np.unique(ids, return_inverse=True)
        largest = np.zeros(len(terms), np.float32)
        np.maximum.at(largest, term_of, weights)
        kept = (largest > 0) & ~np.isin(terms, self._no_terms)
        return terms[kept], largest[kept]


def _wanted(inputs: Mapping[str, NDArray[Any]], name: str, count: int, is_wanted: bool) -> Floats:
    """Return the rows of an output, `count` of them where it is wanted, and none where it is not: engines differ in
    whether they leave them out. Raises InvalidArgument where there are more or fewer.
    """
    rows = inputs[name]
    if not is_wanted:
        return rows[:0]
    if len(rows) != count:
        raise InvalidArgument(f"input {name} has {len(rows)} rows; {count} are expected")
    return rows
