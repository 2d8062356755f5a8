"""What the C library does with memory that is given back: a network asks for the same again with each micro-batch."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of mallopt, in glibc's malloc.h."""
KEPT_BYTES = 32 * 2**20
"""What a heap keeps at its end, and the largest block that comes out of one. It is the most that glibc comes to by
itself, block by block, after as many pages that were given back and asked for again."""


def settle_heap() -> None:
    """Give back what loading has left, and from then on keep what each micro-batch asks for; nothing where the C
    library is not glibc."""
    with suppress(AttributeError):
        library = ctypes.CDLL(None)
        library.malloc_trim(0)
        library.mallopt(_MMAP_THRESHOLD, KEPT_BYTES)
        library.mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
