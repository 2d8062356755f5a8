"""What the C library does with memory that is given back: a network asks for the same again with each micro-batch."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of mallopt, in glibc's malloc.h."""
KEPT_BYTES = 32 * 2**20
"""The largest block that comes out of a heap, and what each heap keeps at its end. Threads that compute at the same
time have a heap each. By itself glibc raises both with the blocks that come back, the first to as much, and the second
to twice as much."""
OF_THE_OPERATOR = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Variables by which an operator has the C library do otherwise; mallopt would overrule them."""


def settle_heap(environment: Mapping[str, str] = os.environ) -> None:
    """Give back what loading has left, and from then on keep what each micro-batch asks for. This holds for all that
    the process does, so it is for a process that does nothing but compute.

    Nothing happens where the `environment` has one of `OF_THE_OPERATOR`, or the C library is not glibc.
    """
    if any(name in environment for name in OF_THE_OPERATOR):
        return
    with suppress(AttributeError):
        library = ctypes.CDLL(None)
        library.malloc_trim(0)
        library.mallopt(_MMAP_THRESHOLD, KEPT_BYTES)
        library.mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
