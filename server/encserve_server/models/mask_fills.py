"""The head of fill-mask: logits over the vocabulary at each mask to the likeliest tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bytes_tensor import bytes_tensor
from .options import Options
from .scores import descending, softmax


class Head:
    """Tokens for each mask, likeliest first."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._tokens = bytes_tensor(settings["tokens"])  # (V,)

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Logits (M, V) to `token`, `token_id` and `score` (M, top_k)."""
        logits, count = inputs["logits"], options["top_k"]
        candidates = np.argpartition(-logits, min(count, logits.shape[1] - 1), axis=1)[:, :count]  # (M, k), unordered
        candidates.sort(axis=1)
        order = descending(np.take_along_axis(logits, candidates, 1), count)
        ids = np.take_along_axis(candidates, order, 1)
        return {
            "token": self._tokens[ids],
            "token_id": ids.astype(np.int32),
            "score": np.take_along_axis(softmax(logits), ids, 1),
        }
