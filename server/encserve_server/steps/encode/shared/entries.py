"""Rows as a cache holds them that is not trusted: under names that tell nothing, and sealed.

A name is a keyed hash of everything that rows depend on: the graph and what runs it, the output, and the very tokens of
the text. A plain hash of a short text could be guessed by whoever reads the cache. A value carries a keyed hash of its
name and of itself, so that what was cut, changed, made up or moved to another name is nothing but a miss.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_NAME, _SEAL = b"es1 name", b"es1 seal"
_PREFIX = b"es1:"
_FORMAT = b"\x01"
"""FP32, little-endian: the very bits that were computed."""
_SEAL_BYTES = 16
_SHAPE = struct.Struct("<II")
_FRONT = len(_FORMAT) + _SEAL_BYTES + _SHAPE.size


class Entries:
    """Names and values of the rows of one graph."""

    def __init__(self, secret: bytes, graph: bytes) -> None:
        """`graph` names the graph with all that its rows depend on, but for the text."""
        self._secret = hashlib.blake2b(secret, digest_size=32).digest()
        self._graph = graph

    def name(self, output: str, key: Sequence[bytes]) -> bytes:
        """Return the name of the rows that an output has for a text, by what the text has of each graph input."""
        hashed = hashlib.blake2b(key=self._secret, person=_NAME, digest_size=32)
        for part in (self._graph, output.encode(), *key):
            hashed.update(struct.pack("<Q", len(part)))
            hashed.update(part)
        return _PREFIX + hashed.digest()

    def sealed(self, name: bytes, rows: NDArray[np.float32]) -> bytes:
        """Return the value of rows (r, W)."""
        body = _SHAPE.pack(*rows.shape) + np.ascontiguousarray(rows, "<f4").tobytes()
        return _FORMAT + self._seal(name, body) + body

    def opened(self, name: bytes, value: bytes, rows: int) -> NDArray[np.float32] | None:
        """Return the rows (r, W) in a value; None where it is not one that was sealed under this name, for so many
        `rows`."""
        if len(value) < _FRONT or value[:1] != _FORMAT:
            return None
        body = value[_FRONT - _SHAPE.size :]
        if not hmac.compare_digest(value[1 : 1 + _SEAL_BYTES], self._seal(name, body)):
            return None
        count, width = _SHAPE.unpack_from(body)
        if count != rows or len(body) != _SHAPE.size + 4 * count * width:
            return None
        return np.frombuffer(body, "<f4", offset=_SHAPE.size).reshape(count, width).astype(np.float32)

    def _seal(self, name: bytes, body: bytes) -> bytes:
        hashed = hashlib.blake2b(key=self._secret, person=_SEAL, digest_size=_SEAL_BYTES)
        hashed.update(name)
        hashed.update(body)
        return hashed.digest()
