"""Vectors of documents that a caller kept, and gives in the place of their texts: base64 of their numbers."""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..request.options import InvalidArgument, Options

_DTYPES = {"float32": "<f4", "float16": "<f2", "int8": "i1", "binary": "u1"}
KINDS = tuple(_DTYPES)
"""The values of the option `document_vectors`."""
_WITHOUT_LENGTHS = ("int8", "binary")
"""Those that say of a vector no more than where it points."""
_SMALLEST_NORM = 1e-12
_LENGTH_ATOL = 0.02
"""How far from 1 the length of a vector may be that was normalized, for what a shorter type of an index costs."""


@dataclass(frozen=True)
class GivenVectors:
    """Reads the documents of one pipeline."""

    width: int
    """How many numbers a vector of the network has; a request that sets `dimensions` gives so many of them."""
    most: int
    """Vectors of all documents of a request."""

    def check(self, documents: Sequence[str], options: Options) -> None:
        """Refuse documents by what their sizes say. Raises InvalidArgument."""
        kind, width = options["document_vectors"], self._width(options)
        if kind in _WITHOUT_LENGTHS and not options["normalize"]:
            raise InvalidArgument(
                f"option document_vectors is {kind!r} and normalize is false; such vectors are scored as of length 1"
            )
        size = self._row_bytes(options)
        for index, text in enumerate(documents):
            count = _bytes_in(text)
            if len(text) % 4:
                raise InvalidArgument(f"document {index} is no base64: it has {len(text)} characters, not whole fours")
            if count % size or not count:
                raise InvalidArgument(
                    f"document {index} has {count} bytes; vectors of {width} numbers in {kind} have {size} each, and "
                    "one at least is expected"
                )
        total = self.count(documents, options)
        if total > self.most:
            raise InvalidArgument(f"the documents have {total} vectors; max_tokens_per_request is {self.most}")

    def count(self, documents: Sequence[str], options: Options) -> int:
        """Return how many vectors all documents have, by their sizes."""
        size = self._row_bytes(options)
        return sum(_bytes_in(text) // size for text in documents)

    def read(self, documents: Sequence[str], options: Options) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Return the vectors (D, d) of all documents, and how many of them each has, (m,). Raises InvalidArgument."""
        if not documents:
            return np.empty((0, self.width), np.float32), np.empty(0, np.int32)
        raws = [_decoded(index, text) for index, text in enumerate(documents)]
        size, width = self._row_bytes(options), self._width(options)
        counts = np.array([len(raw) // size for raw in raws], np.int32)
        kind = options["document_vectors"]
        rows = np.frombuffer(b"".join(raws), _DTYPES[kind]).reshape(int(counts.sum()), -1)
        if kind == "binary":
            signs = np.unpackbits(rows, axis=1, count=width).astype(np.float32) * 2 - 1
            return signs / np.float32(math.sqrt(width)), counts
        vectors = rows.astype(np.float32)
        if kind == "int8":
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _SMALLEST_NORM)
        elif not (finite := np.isfinite(vectors).all(axis=1)).all():
            raise InvalidArgument(f"document {_place(finite, counts)[0]} holds NaN or infinity")
        elif options["normalize"]:
            _check_lengths(vectors, counts, kind)
        return vectors, counts

    def _width(self, options: Options) -> int:
        return int(options["dimensions"] or self.width)

    def _row_bytes(self, options: Options) -> int:
        width, kind = self._width(options), options["document_vectors"]
        return -(-width // 8) if kind == "binary" else width * np.dtype(_DTYPES[kind]).itemsize


def _check_lengths(vectors: NDArray[np.float32], counts: NDArray[np.int32], kind: str) -> None:
    """Refuse vectors (D, d) that nobody has normalized, since they were of another width or type. Of several that are
    pooled the mean is shorter, but the first of a document is pooled with none. Raises InvalidArgument."""
    lengths = np.sqrt(np.einsum("dh,dh->d", vectors, vectors))
    fits = lengths <= 1 + _LENGTH_ATOL
    firsts = np.cumsum(counts) - counts
    fits[firsts] &= lengths[firsts] >= 1 - _LENGTH_ATOL
    if not fits.all():
        index, own = _place(fits, counts)
        raise InvalidArgument(
            f"document {index} is given as vectors of {vectors.shape[1]} numbers in {kind}, and its vector {own} has "
            f"length {lengths[np.argmin(fits)]:.3g}; 1 is expected where normalize is true, and at most 1 behind the "
            "first, where vectors are pooled"
        )


def _place(fits: NDArray[np.bool_], counts: NDArray[np.int32]) -> tuple[int, int]:
    """Return the document of the first vector that does not fit, (D,), and which of that document's it is."""
    ends, at = np.cumsum(counts), int(np.argmin(fits))
    index = int(np.searchsorted(ends, at, side="right"))
    return index, at - int(ends[index] - counts[index])


def _bytes_in(text: str) -> int:
    return len(text) // 4 * 3 - text[-2:].count("=")


def _decoded(index: int, text: str) -> bytes:
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != _bytes_in(text):
        raise InvalidArgument(f"document {index} is no base64")
    return raw
