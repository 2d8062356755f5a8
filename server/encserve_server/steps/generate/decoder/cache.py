"""The keys and values of the texts that are being decoded, one row for each, as a step reads them.

Rows lie without a gap, so that a step reads the arrays as they are: the last row takes the place of one that is
finished. The places for tokens are those of the longest text, of the source and of what was made of it, in whole
blocks: they grow with it, and shrink when it has left. A row has the new tokens of each of its hypotheses.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""By how many tokens the places grow."""


def places_for(tokens: int) -> int:
    """The places that each row has where the longest has so many tokens."""
    return -(-max(tokens, 1) // BLOCK) * BLOCK


class Cache:
    """The rows of one engine, for as many texts as fit."""

    def __init__(self, layers: int, heads: int, size: int, *, beams: int = 1) -> None:
        """`beams` are the hypotheses of each text."""
        self._layers, self._heads, self._size, self.beams = layers, heads, size, beams
        self.clear()

    def clear(self) -> None:
        """Forget all rows, and give their memory back."""
        self.rows = 0
        self._positions = np.zeros(0, np.int64)
        self._lengths = np.zeros(0, np.int64)
        past, source = (0, self.beams, self._heads, 0, self._size), (0, self._heads, 0, self._size)
        self._past = [np.zeros(past, np.float32) for _ in range(2 * self._layers)]  # each (capacity, K, H, P, D)
        self._source = [np.zeros(source, np.float32) for _ in range(2 * self._layers)]  # each (capacity, H, S, D)

    @property
    def kept(self) -> NDArray[np.int64]:
        """How many new tokens are kept of each row: (T,)."""
        return self._positions[: self.rows]

    @property
    def source_lengths(self) -> NDArray[np.int64]:
        """Tokens of each row's source: (T,)."""
        return self._lengths[: self.rows]

    @property
    def bytes(self) -> int:
        """The bytes that the rows take, with the places that are free."""
        return sum(places.nbytes for places in (*self._past, *self._source))

    def add(self, source: NDArray[np.float32]) -> int:
        """Give a text a row, with the keys and values (2 L, H, s, D) of its source. Returns the row."""
        length, row = source.shape[2], self.rows
        self._make_room(rows=row + 1, source=length)
        for places, own in zip(self._source, source, strict=True):
            places[row, :, :length] = own
            places[row, :, length:] = 0.0
        for places in self._past:  # a weight of 0 makes nothing of NaN that a text before it left there
            places[row] = 0.0
        self._positions[row], self._lengths[row] = 0, length
        self.rows += 1
        return row

    def remove(self, row: int) -> int:
        """Take a row away. Returns the row that has taken its place: it was the last."""
        last = self.rows - 1
        if row != last:
            for places in (*self._past, *self._source):
                places[row] = places[last]
            self._positions[row], self._lengths[row] = self._positions[last], self._lengths[last]
        self.rows = last
        if not last:
            self.clear()
        return last

    def tensors(self) -> Iterator[NDArray[np.float32]]:
        """Yield of each layer four arrays: the keys and the values of new tokens (T, K, H, P, D) of K hypotheses, then
        those of the source (T, H, S, D)."""
        self._make_room()
        for layer in range(self._layers):
            pair = slice(2 * layer, 2 * layer + 2)
            yield from (places[: self.rows] for places in self._past[pair])
            yield from (places[: self.rows] for places in self._source[pair])

    def keep(self, keys: NDArray[np.float32], values: NDArray[np.float32]) -> None:
        """Keep the keys and values (L, T, K, H, D) of one more token of each hypothesis of each row."""
        self._make_room(past=int(self.kept.max()) + 1)
        rows = np.arange(self.rows)
        for layer in range(self._layers):
            self._past[2 * layer][rows, :, :, self.kept] = keys[layer]
            self._past[2 * layer + 1][rows, :, :, self.kept] = values[layer]
        self._positions[: self.rows] += 1

    def follow(self, row: int, parents: NDArray[np.intp]) -> None:
        """Let each hypothesis of a row go on from what the one of `parents` (K,) was."""
        if np.array_equal(parents, np.arange(self.beams)):
            return
        kept = int(self.kept[row])
        for places in self._past:
            places[row, :, :, :kept] = places[row, parents, :, :kept]

    def _make_room(self, *, rows: int = 0, past: int = 0, source: int = 0) -> None:
        """Have at least so many rows, and places for so many tokens, beside what is there; and not many more."""
        rows, capacity = max(rows, self.rows), len(self._positions)
        if rows > capacity or 4 * rows < capacity:
            capacity = max(rows, 2 * min(rows, capacity))
            self._positions = np.resize(self._positions, capacity)
            self._lengths = np.resize(self._lengths, capacity)
        self._fit(self._past, capacity, max(past, int(self.kept.max(initial=0))))
        self._fit(self._source, capacity, max(source, int(self.source_lengths.max(initial=0))))

    def _fit(self, arrays: list[NDArray[np.float32]], capacity: int, tokens: int) -> None:
        wanted = places_for(tokens)
        for index, before in enumerate(arrays):  # one after the other, so that no two are there twice
            if (capacity, wanted) != (before.shape[0], before.shape[-2]):
                arrays[index] = np.zeros((capacity, *before.shape[1:-2], wanted, self._size), np.float32)
                both = min(wanted, before.shape[-2])
                arrays[index][: self.rows, ..., :both, :] = before[: self.rows, ..., :both, :]
