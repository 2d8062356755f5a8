"""The head of text-ranking: one logit for each pair to an order of the pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....request.options import Options
from ...fit import Fit
from ..scores import ACTIVATIONS, descending


class Head:
    """Pairs by descending score."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._activation = ACTIVATIONS[settings["activation"]]
        self.fit = Fit({"logits": ("pairs", 1)})

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return `index` and `score` (top_k,) of pairs, from their logits (m, 1). Scores that saturate keep the order
        of their logits."""
        logits = inputs["logits"][:, 0]
        order = descending(logits, options["top_k"])
        return {"index": order.astype(np.int32), "score": self._activation(logits)[order]}
