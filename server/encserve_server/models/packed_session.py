"""A packed graph in a runtime: rows of tokens in, rows of numbers for each text, token or mask out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .micro_batches import micro_batches

ONNXRUNTIME = "onnxruntime"

Columns: TypeAlias = Mapping[str, Sequence[NDArray[np.int64]]]
"""Graph input -> what each text has of it; `input_ids` is among them. `lengths` is not: it follows from those."""


class Network(Protocol):
    """A graph in a runtime."""

    def run(self, feed: Mapping[str, NDArray[np.int64]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """What the graph gives for its inputs, by name, in the order of `outputs`; on one core, from any thread."""


class PackedSession:
    """One graph whose micro-batches run on several threads, each micro-batch on one.

    Short texts gain nothing from threads inside an operator; whole micro-batches side by side share the weights and
    keep every core busy.
    """

    def __init__(
        self,
        graph: Path,
        *,
        follows: Mapping[str, str],
        token_budget: int,
        runtime: str = ONNXRUNTIME,
        hints: Mapping[str, str] | None = None,
        threads: int | None = None,
    ) -> None:
        """Load `graph`, each of whose outputs has as many rows as the input that it follows has elements.

        `follows` has that input by output, "lengths" for one row a text; `hints` are what the runtime is told at load;
        `threads` defaults to the cores that this process may use.
        """
        self._follows = follows
        self._token_budget = token_budget
        self._threads = threads or len(os.sched_getaffinity(0))
        self._network: Network = import_module(f".{runtime}_network", __package__).Network(
            graph, hints or {}, self._threads
        )
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="micro-batch")

    def rows_of(self, columns: Columns, output: str) -> NDArray[np.int64]:
        """How many rows of an output belong to each text: (n,)."""
        if self._follows[output] == "lengths":
            return np.ones(len(columns["input_ids"]), np.int64)
        return _sizes(columns[self._follows[output]])

    def run(
        self, columns: Columns, outputs: Sequence[str], *, pool: ThreadPoolExecutor | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Compute all texts in micro-batches; returns (rows, W) of each of `outputs` in the order of the texts.

        The micro-batches run on the threads of `pool`, by default those of the session.

        A text's rows do not depend on which others are beside it, but for rounding (below 1e-6).
        """
        groups = micro_batches(_sizes(columns["input_ids"]), token_budget=self._token_budget, workers=self._threads)

        def run_group(group: NDArray[np.intp]) -> dict[str, NDArray[np.float32]]:
            return self.run_pack(
                {name: [column[index] for index in group] for name, column in columns.items()}, outputs
            )

        results = [run_group(groups[0])] if len(groups) == 1 else list((pool or self._pool).map(run_group, groups))
        return {
            output: _in_order(groups, [result[output] for result in results], self.rows_of(columns, output))
            for output in outputs
        }

    def run_pack(self, columns: Columns, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Compute all texts in one pack, on the calling thread: as `run`, without the micro-batches."""
        feed = {name: np.concatenate(column) for name, column in columns.items()}
        feed["lengths"] = _sizes(columns["input_ids"])
        return dict(zip(outputs, self._network.run(feed, outputs), strict=True))

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown()


def _in_order(
    groups: Sequence[NDArray[np.intp]], results: Sequence[NDArray[np.float32]], sizes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The rows of all texts in their order, out of those of groups of texts; text i has `sizes[i]`."""
    begins = np.cumsum(sizes) - sizes
    rows = np.empty((int(sizes.sum()), results[0].shape[1]), np.float32)
    for group, result in zip(groups, results, strict=True):
        rows[np.concatenate([np.arange(begins[index], begins[index] + sizes[index]) for index in group])] = result
    return rows


def _sizes(column: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.fromiter((len(values) for values in column), np.int64, len(column))
