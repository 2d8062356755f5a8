"""What `embed_hybrid` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encserve._errors import InvalidInput
from encserve._hybrid.scores import HybridScores, dense_scores, sparse_scores, token_scores, weighted_mean
from encserve._results import Answer, check_same_version

EQUAL = (1.0, 1.0, 1.0)
"""Weights of scores by vectors of texts, by terms, and by vectors of tokens."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HybridEmbeddings(Answer):
    """Texts as vectors, as weighted terms, and as vectors of their tokens, of one pass; what was not wanted is None."""

    vectors: NDArray[Any] | None
    """The vector of each text: float32 or int8 (n, dim), or bits in uint8 (n, dim / 8)."""
    token_ids: list[NDArray[np.int32]] | None
    """For each text an array of shape (terms,), int32: the ids of its terms, heaviest first."""
    weights: list[NDArray[np.float32]] | None
    """For each text an array of shape (terms,), float32: the weights of its terms, all above zero."""
    token_vectors: list[NDArray[Any]] | None
    """For each text an array of shape (t, dim), float32 or int8, or of binary vectors (t, dim / 8), uint8: those of its
    tokens but the first, which stands for the whole text."""
    offsets: list[NDArray[np.int32]] | None
    """For each text an array of shape (t, 2), int32: where each of these tokens begins and ends, as indices into the
    Python string; -1 for special tokens."""

    def scores(self, documents: HybridEmbeddings, *, weights: Sequence[float] = EQUAL) -> HybridScores:
        """Score documents for these texts, which are queries, as FlagEmbedding scores them for BGE-M3.

        Args:
            documents: Embeddings of the documents, by the same pipeline.
            weights: What scores by vectors of texts, by terms, and by vectors of tokens count in their mean, in this
                order, none below 0. A kind of score that the queries or the documents lack counts nothing.

        Returns the scores of each kind, and their weighted mean, each (queries, documents).

        Raises:
            InvalidInput: The vectors are not float32 or of different lengths, the pipelines differ, there is no kind
                that both have, or the weights are not three numbers of which one that counts is above 0.
        """
        self._check(documents)
        if len(weights) != len(EQUAL) or not all(0 <= weight < float("inf") for weight in weights):
            raise InvalidInput(f"weights are {list(weights)}, expected three finite numbers, none below 0")
        dense = sparse = tokens = None
        if self.vectors is not None and documents.vectors is not None:
            dense = dense_scores(self.vectors, documents.vectors)
        if self.token_ids is not None and documents.token_ids is not None:
            assert self.weights is not None, "ids and weights come together"
            assert documents.weights is not None, "ids and weights come together"
            sparse = sparse_scores(self.token_ids, self.weights, documents.token_ids, documents.weights)
        if self.token_vectors is not None and documents.token_vectors is not None:
            tokens = token_scores(self.token_vectors, documents.token_vectors)
        combined = weighted_mean((dense, sparse, tokens), weights)
        return HybridScores(dense=dense, sparse=sparse, tokens=tokens, combined=combined)

    def _check(self, documents: HybridEmbeddings) -> None:
        check_same_version(self, documents)
        for each in (self, documents):
            own = [*([] if each.vectors is None else [each.vectors]), *(each.token_vectors or ())]
            for array in own:
                if array.dtype != np.float32:
                    raise InvalidInput(f"the vectors are {array.dtype}, expected float32, from which scores are made")
