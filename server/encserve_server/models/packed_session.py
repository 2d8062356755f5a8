"""A packed graph in ONNX Runtime: texts in, one vector for each text out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from .micro_batches import micro_batches

SLOW_FUSIONS = ("SkipLayerNormFusion", "BiasGeluFusion")
"""Fusions of ONNX Runtime 1.31 whose CPU kernels are slower than the operators they replace: without them a packed
MiniLM runs 8 to 15 % faster on one core."""


class PackedSession:
    """One session whose micro-batches run on several threads, each micro-batch on one.

    Short texts gain nothing from threads inside an operator; whole micro-batches side by side share the weights and
    keep every core busy.
    """

    def __init__(self, graph: Path, *, token_budget: int, threads: int | None = None) -> None:
        """Load `graph`; `threads` defaults to the cores this process may use."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(SLOW_FUSIONS)
        )
        self._output = self._session.get_outputs()[0].name
        self._token_budget = token_budget
        self._threads = threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="micro-batch")

    @property
    def output(self) -> str:
        """Name of the graph's output."""
        return str(self._output)

    def run(self, texts: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Compute one vector (H,) for each text's token ids (t,); returns (n, H) in the order of `texts`.

        A text's vector does not depend on which others are beside it, but for rounding (below 1e-6).
        """
        lengths = np.fromiter((len(ids) for ids in texts), np.int64, len(texts))
        groups = micro_batches(lengths, token_budget=self._token_budget, workers=self._threads)

        def run_group(group: NDArray[np.intp]) -> NDArray[np.float32]:
            return self.run_pack([texts[index] for index in group])

        results = [run_group(groups[0])] if len(groups) == 1 else list(self._pool.map(run_group, groups))
        vectors = np.empty((len(texts), results[0].shape[1]), np.float32)
        for group, rows in zip(groups, results, strict=True):
            vectors[group] = rows
        return vectors

    def run_pack(self, texts: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Compute all texts in one pack, on the calling thread: as `run`, without the micro-batches."""
        lengths = np.fromiter((len(ids) for ids in texts), np.int64, len(texts))
        (vectors,) = self._session.run([self._output], {"input_ids": np.concatenate(texts), "lengths": lengths})
        return vectors  # type: ignore[no-any-return]  # (n, H)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown()
