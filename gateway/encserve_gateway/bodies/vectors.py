"""Vectors as JSON: numbers, or base64 of little-endian float32, which takes a twentieth of the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import numpy as np
import orjson
import pybase64
from numpy.typing import NDArray

ROWS = 64
"""Rows that are written in one piece: other requests have their turn between two."""

NUMBERS = 1 << 15
"""Numbers of longer items, such as the vectors of all tokens of a text, after which other requests have their turn."""

Write = Callable[[NDArray[Any]], list[bytes]]
"""Rows (n, dim), contiguous -> the JSON of each."""


def as_numbers(rows: NDArray[Any]) -> list[bytes]:
    """Lists of numbers, each with the fewest digits that give the same float32."""
    return [orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) for row in rows]


def as_base64(rows: NDArray[Any]) -> list[bytes]:
    """Texts: base64 of the bytes of each row."""
    size = rows[0].nbytes
    if size % 3:  # base64 has four letters for three bytes, and some of them would be of two rows
        return [b'"%b"' % pybase64.b64encode(row.data) for row in rows]
    letters, text = size // 3 * 4, pybase64.b64encode(rows.data)
    return [b'"%b"' % text[begin : begin + letters] for begin in range(0, len(text), letters)]


def little_endian(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float32 rows as they go over the wire: contiguous, lowest byte first."""
    return np.ascontiguousarray(vectors, dtype="<f4")


def bare(index: int, row: bytes) -> bytes:
    """A row as an item of a list without more."""
    return row


async def blocks_of_rows(
    vectors: NDArray[Any], write: Write, item: Callable[[int, bytes], bytes] = bare
) -> AsyncIterator[bytes]:
    """The items of a JSON list, one for each row, with commas between them, in pieces of `ROWS`.

    Args:
        vectors: (n, dim), contiguous.
        write: how rows are written.
        item: index and row as JSON -> item.
    """
    for begin in range(0, len(vectors), ROWS):
        if begin:
            await asyncio.sleep(0)
        rows = enumerate(write(vectors[begin : begin + ROWS]), begin)
        yield (b"," if begin else b"") + b",".join([item(index, row) for index, row in rows])


async def blocks_of_arrays(
    arrays: Iterable[NDArray[Any]], write: Write, item: Callable[[int, bytes], bytes] = bare
) -> AsyncIterator[bytes]:
    """The items of a JSON list, one for each array of whatever shape, with commas between them, an item a piece.

    Args:
        arrays: as many as there are items.
        write: how each is written.
        item: index and array as JSON -> item.
    """
    numbers = 0
    for index, array in enumerate(arrays):
        if numbers >= NUMBERS:
            numbers = 0
            await asyncio.sleep(0)
        numbers += array.size
        yield (b"," if index else b"") + item(index, write(np.ascontiguousarray(array)[None])[0])
