"""The head of text-classification: logits to labels and scores, highest score first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....request.options import Options
from ...fit import Fit
from ..bytes_tensor import bytes_tensor
from ..scores import ACTIVATIONS, descending, softmax
from ..windows import mean_of_windows


class Head:
    """Labels with softmax, sigmoid or bare scores, as the checkpoint was trained."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._labels = bytes_tensor(settings["labels"])  # (C,)
        self._activation = ACTIVATIONS[settings["activation"]]
        self._temperature = settings.get("temperature", 1.0)
        self.fit = Fit(
            {"logits": ("windows", len(self._labels)), "lengths": ("windows",), "window_count": ("texts",)},
            {"window_count": "windows"},
        )

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return `label` and `score` (n, top_k) of n texts, from the logits (W, C) of their windows.

        Where probabilities are asked for, they are as many further columns of `score`.
        """
        logits = mean_of_windows(inputs["logits"], inputs["lengths"], inputs["window_count"])
        scores = self._activation(logits)
        order = descending(scores, options["top_k"])  # (n, k)
        answered = np.take_along_axis(scores, order, -1)
        if options.get("probabilities"):
            calibrated = softmax(np.divide(logits, self._temperature, dtype=np.float32))
            answered = np.concatenate([answered, np.take_along_axis(calibrated, order, -1)], axis=-1)
        return {"label": self._labels[order], "score": answered}
