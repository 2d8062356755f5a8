"""A network on a GPU, asked as `PackedSession` is, for the certificate: batches run one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from encserve_server.models.packed_session import Columns


class BatchedSession(ABC):
    """One network."""

    def __init__(self, follows: Mapping[str, str], *, max_texts: int, max_tokens: int) -> None:
        """`follows` has, by output, the input of which the output has a row for each element; the others bound a
        batch, of which one text alone may have more tokens."""
        self._follows = follows
        self._max_texts = max_texts
        self._max_tokens = max_tokens

    @abstractmethod
    def run_pack(self, columns: Columns, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Compute all texts in one batch: (rows, W) of each of `outputs`."""

    def run(self, columns: Columns, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Compute all texts, in batches as large as may be: (rows, W) of each of `outputs`, in the order of texts."""
        parts = [
            self.run_pack({name: column[begin:end] for name, column in columns.items()}, outputs)
            for begin, end in self._batches(sizes(columns["input_ids"]))
        ]
        return {output: np.concatenate([part[output] for part in parts]) for output in outputs}

    def rows_of(self, columns: Columns, output: str) -> NDArray[np.int64]:
        """How many rows of an output belong to each text: (n,)."""
        if self._follows[output] == "lengths":
            return np.ones(len(columns["input_ids"]), np.int64)
        return sizes(columns[self._follows[output]])

    def _batches(self, lengths: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Begin and end of batches of texts within the bounds."""
        begin, tokens = 0, 0
        for index, length in enumerate(lengths.tolist()):
            if index > begin and (index - begin == self._max_texts or tokens + length > self._max_tokens):
                yield begin, index
                begin, tokens = index, 0
            tokens += length
        yield begin, len(lengths)


def packed(columns: Columns) -> dict[str, NDArray[np.int64]]:
    """What the graph takes, by name: the rows of all texts end to end, and their lengths (n,)."""
    feed = {name: np.concatenate(column) for name, column in columns.items()}
    return feed | {"lengths": sizes(columns["input_ids"])}


def sizes(column: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Elements that each text has in a column: (n,)."""
    return np.array([len(values) for values in column], np.int64)
