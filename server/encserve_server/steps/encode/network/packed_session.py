"""A packed graph in a runtime: rows of tokens in, rows of numbers for each text, token or mask out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..request import Columns
from .loading import Network
from .micro_batches import Cost, micro_batches

_COST = Cost(overhead=10, pair=0.0006)
"""About that of a network of width 768 in FP32."""


class PackedSession:
    """One graph whose micro-batches run side by side, each micro-batch on one thread.

    Short texts gain little from threads inside an operator; whole micro-batches side by side share the weights and keep
    every core busy. A micro-batch that has the machine to itself is another matter: it may have a second network, with
    weights of its own, whose operators share all threads.
    """

    def __init__(
        self,
        network: Network,
        *,
        follows: Mapping[str, str],
        token_budget: int,
        cost: Cost = _COST,
        intra_op: Network | None = None,
    ) -> None:
        """Run `network`, each of whose outputs has as many rows as the input that it follows has elements; and
        `intra_op`, whose operators share all cores, for a micro-batch that has the machine to itself.

        `follows` has that input by output, "lengths" for one row a text; `token_budget` and `cost` are those of
        `micro_batches`.
        """
        self._follows = follows
        self._token_budget = token_budget
        self._cost = cost
        self._network, self._intra_op = network, intra_op or network

    def rows_of(self, columns: Columns, output: str) -> NDArray[np.int64]:
        """How many rows of an output belong to each text: (n,)."""
        if self._follows[output] == "lengths":
            return np.ones(len(columns["input_ids"]), np.int64)
        return _sizes(columns[self._follows[output]])

    def groups(self, lengths: NDArray[np.int64], *, workers: int) -> list[NDArray[np.intp]]:
        """Texts of `lengths` (n,) as micro-batches of their indices, for so many threads."""
        return micro_batches(lengths, token_budget=self._token_budget, workers=workers, cost=self._cost)

    def run_pack(
        self, columns: Columns, outputs: Sequence[str], *, all_cores: bool = False
    ) -> dict[str, NDArray[np.float32]]:
        """Compute all texts in one pack, on the calling thread, or on `all_cores`: (rows, W) of each of `outputs`, in
        the order of the texts.

        A text's rows do not depend on which others are beside it, but for rounding (below 1e-6).
        """
        feed = {name: np.concatenate(column) for name, column in columns.items()}
        feed["lengths"] = _sizes(columns["input_ids"])
        network = self._intra_op if all_cores else self._network
        return dict(zip(outputs, network.run(feed, outputs), strict=True))


def _sizes(column: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.fromiter((len(values) for values in column), np.int64, len(column))
