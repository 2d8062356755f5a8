"""Vectors along fixed directions: what is counted of them, and what a baseline is made of, is the same everywhere."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIRECTIONS = 32
"""How many directions vectors are looked at along."""
_SMALLEST_NORM = 1e-12


@cache
def directions_of(width: int) -> NDArray[np.float32]:
    """Return the directions (width, DIRECTIONS) of vectors of a width: ones and minus ones out of SHAKE-256, so that
    every version, release and machine has the same."""
    bits = hashlib.shake_256(f"encserve {width}".encode()).digest(width * DIRECTIONS // 8)
    signs = np.unpackbits(np.frombuffer(bits, np.uint8)).reshape(width, DIRECTIONS)
    return (2.0 * signs - 1.0).astype(np.float32)


def projected(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Return vectors (n, width), each scaled to length 1, along the directions: (n, DIRECTIONS), about 1 in size
    whatever the width is. A zero vector gives zeros."""
    along = (vectors @ directions_of(vectors.shape[1])).astype(np.float64)
    norms = np.sqrt(np.einsum("nh,nh->n", vectors, vectors, dtype=np.float64))
    scaled: NDArray[np.float64] = along / np.maximum(norms, _SMALLEST_NORM)[:, None]
    return scaled
