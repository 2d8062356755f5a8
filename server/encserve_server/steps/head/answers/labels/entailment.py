"""The head of zero-shot classification: whether each text entails each label's hypothesis, to labels and scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....request.options import InvalidArgument, Options
from ...fit import Fit
from ..bytes_tensor import bytes_tensor
from ..scores import descending, softmax


class Head:
    """The request's own labels, likeliest first."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._entailment: int = settings["entailment_column"]
        self._contradiction: int = settings["contradiction_column"]
        self.fit = Fit({"logits": ("pairs", "classes")})

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return `label` and `score` (n, L) of n texts with L labels, from the logits (n * L, C).

        With `multi_label`, or a single label, each label is entailed or contradicted by itself; without, the labels
        share a probability of 1.
        """
        labels = options["labels"]
        if (pairs := len(inputs["logits"])) % len(labels):
            raise InvalidArgument(f"input logits has {pairs} rows, which are no texts with {len(labels)} labels each")
        logits = inputs["logits"].reshape(-1, len(labels), inputs["logits"].shape[1])  # (n, L, C)
        if options["multi_label"] or len(labels) == 1:
            scores = softmax(logits[..., [self._contradiction, self._entailment]])[..., 1]
        else:
            scores = softmax(logits[..., self._entailment])
        order = descending(scores, None)  # (n, L)
        return {"label": bytes_tensor(labels)[order], "score": np.take_along_axis(scores, order, -1)}
