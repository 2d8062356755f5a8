"""The head of fill-mask: logits over the vocabulary at each mask to the likeliest tokens, or to the score of a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...request.options import InvalidArgument, Options
from ..fit import Fit
from .bytes_tensor import bytes_tensor
from .scores import Floats, descending, softmax


class Head:
    """Tokens for each mask, likeliest first; or how likely the texts are."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._tokens = bytes_tensor(settings["tokens"])  # (V,)
        self.fit = Fit({"logits": ("masks", len(self._tokens)), "target_id": ("masks",), "mask_count": ("texts",)})

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return `token`, `token_id` and `score` (M, top_k) from the logits (M, V) of M masks; or
        `pseudo_log_likelihood` (n,), where `score_texts` is on. The outputs that were not asked for have no
        elements."""
        logits, scored = inputs["logits"], options["score_texts"]
        likelihoods = _sums(logits, inputs["target_id"], inputs["mask_count"]) if scored else np.empty(0, np.float32)
        return {**self._fills(logits[:0] if scored else logits, options["top_k"]), "pseudo_log_likelihood": likelihoods}

    def _fills(self, logits: Floats, count: int) -> dict[str, NDArray[Any]]:
        candidates = np.argpartition(-logits, min(count, logits.shape[1] - 1), axis=1)[:, :count]  # (M, k), unordered
        candidates.sort(axis=1)
        order = descending(np.take_along_axis(logits, candidates, 1), count)
        ids = np.take_along_axis(candidates, order, 1)
        return {
            "token": self._tokens[ids],
            "token_id": ids.astype(np.int32),
            "score": np.take_along_axis(softmax(logits), ids, 1),
        }


def _sums(logits: Floats, targets: NDArray[np.int32], counts: NDArray[np.int32]) -> Floats:
    """Return, for each text, (n,), the sum over its tokens of log P(token | the other tokens): Salazar et al. 2020,
    equation 1.

    Args:
        logits: The logits where each token was masked, (M, V).
        targets: The token that stood there, (M,); below 0 where none did.
        counts: The number of tokens of each text, (n,).
    """
    known = np.flatnonzero(targets >= 0)  # (K,), of all texts
    if (counts < 0).any() or counts.sum(dtype=np.int64) != len(known) or (targets >= logits.shape[1]).any():
        raise InvalidArgument("inputs target_id and mask_count are not those of the tokens of texts")
    highest = logits.max(1, keepdims=True)
    spread = np.log(np.exp(logits - highest).sum(1, dtype=np.float64)) + highest[:, 0]  # (M,)
    each = logits[known, targets[known]] - spread[known]  # (K,), float64
    sums = np.bincount(np.repeat(np.arange(len(counts)), counts), each, len(counts))
    return sums.astype(np.float32)
