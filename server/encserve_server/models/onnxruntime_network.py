"""A packed graph in ONNX Runtime, on the calling thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

SLOW_FUSIONS = ("SkipLayerNormFusion", "BiasGeluFusion")
"""Fusions of ONNX Runtime 1.31 whose CPU kernels are slower than the operators they replace: without them a packed
MiniLM runs 8 to 15 % faster on one core."""


class Network:
    """One session, which any number of threads may run at the same time."""

    def __init__(self, graph: Path, hints: Mapping[str, str], threads: int) -> None:
        """Load `graph`. ONNX Runtime takes no `hints`: its precision stands in the graph."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(SLOW_FUSIONS)
        )
        # A graph with several heads computes those that are asked for.
        self._only_what_is_asked_for = onnxruntime.RunOptions()
        self._only_what_is_asked_for.only_execute_path_to_fetches = len(self._session.get_outputs()) > 1

    def run(self, feed: Mapping[str, NDArray[np.int64]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """What the graph gives for its inputs, by name, in the order of `outputs`."""
        return list(self._session.run(outputs, feed, self._only_what_is_asked_for))
