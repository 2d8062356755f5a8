"""Vectors as JSON: numbers, or base64 of little-endian float32, which takes a twentieth of the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import orjson
import pybase64
from numpy.typing import NDArray

ROWS = 64
"""Rows that are written in one piece: other requests have their turn between two."""

NUMBERS = 1 << 15
"""Numbers of longer items, such as the vectors of all tokens of a text, after which other requests have their turn."""


Text = bytes | memoryview
"""What is written of one item."""


@dataclass(frozen=True, eq=False)
class Write:
    """How vectors become JSON."""

    rows: Callable[[NDArray[Any]], list[Text]]
    """Rows (n, dim), contiguous -> the JSON of each, without the quotes."""
    quote: bytes = b""
    """What stands before and after each."""


@dataclass(frozen=True, eq=False)
class Frame:
    """What stands around each item of a JSON list."""

    before: Callable[[int], bytes] = lambda index: b""
    """Index of an item -> what stands before it."""
    after: bytes = b""


BARE = Frame()
"""Items without more."""


def _numbers(rows: NDArray[Any]) -> list[Text]:
    return [orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) for row in rows]


def _base64(rows: NDArray[Any]) -> list[Text]:
    size = rows[0].nbytes
    if size % 3:  # base64 has four letters for three bytes, and some of them would be of two rows
        return [pybase64.b64encode(row.data) for row in rows]
    letters, text = size // 3 * 4, memoryview(pybase64.b64encode(rows.data))
    return [text[begin : begin + letters] for begin in range(0, len(text), letters)]


AS_NUMBERS = Write(_numbers)
"""Lists of numbers, each with the fewest digits that give the same float32."""

AS_BASE64 = Write(_base64, b'"')
"""Texts: base64 of the bytes of each row."""


def little_endian(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float32 rows as they go over the wire: contiguous, lowest byte first."""
    return np.ascontiguousarray(vectors, dtype="<f4")


async def blocks_of_rows(
    vectors: NDArray[Any], write: Write, frame: Frame = BARE, *, head: bytes = b"", tail: bytes = b""
) -> list[bytes]:
    """The items of a JSON list, one for each row, with commas between them, in blocks of `ROWS`.

    Args:
        vectors: (n, dim), contiguous.
        write: how rows are written.
        frame: what stands around each.
        head: what stands before the list, in the first block.
        tail: what stands after it, in the last one.
    """
    if not len(vectors):
        return [head + tail]
    blocks: list[bytes] = []
    for begin in range(0, len(vectors), ROWS):
        if begin:
            await asyncio.sleep(0)
        rows = write.rows(vectors[begin : begin + ROWS])
        # Each row is between two constants, so that all is copied once, and nothing is formatted.
        pieces: list[Text] = [b""] * (2 * len(rows) + 2)
        pieces[1:-1:2] = _between(write, frame, begin)[: len(rows)]
        pieces[2:-1:2] = rows
        if not begin:
            pieces[0] = head
        if begin + ROWS >= len(vectors):
            pieces[-1] = write.quote + frame.after + tail
        blocks.append(b"".join(pieces))
    return blocks


@cache
def _between(write: Write, frame: Frame, begin: int) -> list[bytes]:
    """What stands before each row of a block, and after the one before it, where `begin` is the index of the first."""
    end = write.quote + frame.after + b","
    return [(end if index else b"") + frame.before(index) + write.quote for index in range(begin, begin + ROWS)]


async def blocks_of_arrays(arrays: Iterable[NDArray[Any]], write: Write, frame: Frame = BARE) -> list[bytes]:
    """The items of a JSON list, one for each array of whatever shape, with commas between them, an item a block.

    Args:
        arrays: as many as there are items.
        write: how each is written.
        frame: what stands around each.
    """
    numbers = 0
    blocks: list[bytes] = []
    for index, array in enumerate(arrays):
        if numbers >= NUMBERS:
            numbers = 0
            await asyncio.sleep(0)
        numbers += array.size
        (text,) = write.rows(np.ascontiguousarray(array)[None])
        comma = b"," if index else b""
        blocks.append(b"".join((comma, frame.before(index), write.quote, text, write.quote, frame.after)))
    return blocks
