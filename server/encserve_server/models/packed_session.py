"""A packed graph in ONNX Runtime: rows of tokens in, one row of numbers for each text, token or mask out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from .micro_batches import micro_batches

Columns: TypeAlias = Mapping[str, Sequence[NDArray[np.int64]]]
"""Graph input -> what each text has of it; `input_ids` is among them. `lengths` is not: it follows from those."""

SLOW_FUSIONS = ("SkipLayerNormFusion", "BiasGeluFusion")
"""Fusions of ONNX Runtime 1.31 whose CPU kernels are slower than the operators they replace: without them a packed
MiniLM runs 8 to 15 % faster on one core."""


class PackedSession:
    """One session whose micro-batches run on several threads, each micro-batch on one.

    Short texts gain nothing from threads inside an operator; whole micro-batches side by side share the weights and
    keep every core busy.
    """

    def __init__(self, graph: Path, *, follows: str, token_budget: int, threads: int | None = None) -> None:
        """Load `graph`, whose output has as many rows as its input `follows` has elements: "lengths" for one a text.

        `threads` defaults to the cores this process may use.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(SLOW_FUSIONS)
        )
        self._output = self._session.get_outputs()[0].name
        self._follows = follows
        self._token_budget = token_budget
        self._threads = threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="micro-batch")

    @property
    def output(self) -> str:
        """Name of the graph's output."""
        return str(self._output)

    def rows_of(self, columns: Columns) -> NDArray[np.int64]:
        """How many rows of the output belong to each text: (n,)."""
        if self._follows == "lengths":
            return np.ones(len(columns["input_ids"]), np.int64)
        return _sizes(columns[self._follows])

    def run(self, columns: Columns) -> NDArray[np.float32]:
        """Compute all texts in micro-batches; returns (rows, W) in the order of the texts.

        A text's rows do not depend on which others are beside it, but for rounding (below 1e-6).
        """
        groups = micro_batches(_sizes(columns["input_ids"]), token_budget=self._token_budget, workers=self._threads)

        def run_group(group: NDArray[np.intp]) -> NDArray[np.float32]:
            return self.run_pack({name: [column[index] for index in group] for name, column in columns.items()})

        results = [run_group(groups[0])] if len(groups) == 1 else list(self._pool.map(run_group, groups))
        sizes = self.rows_of(columns)
        begins = np.cumsum(sizes) - sizes
        rows = np.empty((int(sizes.sum()), results[0].shape[1]), np.float32)
        for group, result in zip(groups, results, strict=True):
            rows[np.concatenate([np.arange(begins[index], begins[index] + sizes[index]) for index in group])] = result
        return rows

    def run_pack(self, columns: Columns) -> NDArray[np.float32]:
        """Compute all texts in one pack, on the calling thread: as `run`, without the micro-batches."""
        feed = {name: np.concatenate(column) for name, column in columns.items()}
        feed["lengths"] = _sizes(columns["input_ids"])
        (rows,) = self._session.run([self._output], feed)
        return rows  # type: ignore[no-any-return]  # (rows, W)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown()


def _sizes(column: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.fromiter((len(values) for values in column), np.int64, len(column))
