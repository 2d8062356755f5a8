"""Vectors as JSON: numbers, or base64 of little-endian float32, which takes a twentieth of the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import orjson
import pybase64
from numpy.typing import NDArray

ROWS = 64
"""Rows that are written in one piece: other requests have their turn between two."""

RowWriter = Callable[[NDArray[Any]], bytes]


def as_numbers(row: NDArray[Any]) -> bytes:
    """A list of numbers, each with the fewest digits that give the same float32."""
    return orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)


def as_base64(row: NDArray[Any]) -> bytes:
    """A text: base64 of the row's bytes."""
    return b'"%s"' % pybase64.b64encode(row.tobytes())


def little_endian(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float32 rows as they go over the wire: contiguous, lowest byte first."""
    return np.ascontiguousarray(vectors, dtype="<f4")


async def blocks_of_rows(vectors: NDArray[Any], item: Callable[[int, NDArray[Any]], bytes]) -> AsyncIterator[bytes]:
    """The items of a JSON list, one for each row, with commas between them, in pieces of `ROWS`.

    Args:
        vectors: (n, dim), contiguous.
        item: index and row -> JSON.
    """
    for begin in range(0, len(vectors), ROWS):
        if begin:
            await asyncio.sleep(0)
        rows = enumerate(vectors[begin : begin + ROWS], begin)
        yield (b"," if begin else b"") + b",".join([item(index, row) for index, row in rows])
