"""Texts that come again: computed once where they are under way together or come soon after one another.

The encode step is the place for it. What the network gives for a text depends on its token ids and on the graph alone;
prompts and truncation are in the ids already, and the other options are applied by the head. So one entry serves every
client, every option and every pipeline on the same encoder, and the step's graph, named by its certificate, never
changes while it is loaded. A key is the ids themselves, no hash of them: a text can never get the rows of another.

An entry is the very rows that were computed, bit by bit. They were computed beside other texts, which is why they may
differ by rounding from those of another batch, as all rows do. Rows with NaN or infinity are never kept.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .request import Rows

SETTING = "ENCSERVE_RECENT_ROWS_MIB"
"""The environment variable with the MiB that rows may take; without it, or with 0, no rows are kept."""
DEFAULT_MIB = 0.0
"""The MiB that rows may take where the environment says nothing: 0, because a load test that repeats its texts would
measure this memory and not the encoder."""
LARGEST_SHARE = 8
"""The denominator of the largest share of the memory that an entry may take: a larger one would drive out too many
others."""
OVERHEAD_BYTES = 400
"""About the bytes of an entry beside its ids and its rows: the objects that Python makes of it."""

Key: TypeAlias = tuple[bytes, ...]
"""What a text has of each graph input."""
Take: TypeAlias = Callable[[Rows | Exception], None]
"""A function that takes the rows of a text, or the error that stands in their place."""


class Claim(NamedTuple):
    """The name of a text that is computed once while it is under way."""

    lane: str
    """The lane that computes it: nobody waits for what another lane computes, which may take long."""
    outputs: tuple[str, ...]
    """All that is computed for the texts of its batch."""
    key: Key


def max_bytes_from(environment: Mapping[str, str] = os.environ) -> int:
    """Return the bytes that rows may take, from the environment of the step. Raises ValueError if it names no size."""
    text = environment.get(SETTING) or str(DEFAULT_MIB)
    try:
        mib = float(text)
    except ValueError:
        mib = -1.0
    if not 0 <= mib < 1e6:
        raise ValueError(f"{SETTING} is {text!r}, expected a number of MiB, or 0 to keep nothing")
    return int(mib * 2**20)


class RecentRows:
    """Rows that are not computed again, at most `max_bytes` of them; the entry that was not asked for longest goes
    first.

    Any number of threads may use it.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self.keeps = max_bytes > 0
        """Whether any rows are kept; if not, no text needs to be claimed."""
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, Key], NDArray[np.float32]] = OrderedDict()
        self._under_way: dict[Claim, list[Take]] = {}
        self.bytes = 0
        """The bytes that entries take now."""

    def claim(self, claim: Claim, take: Take, *, wanted: tuple[str, ...] | None = None) -> bool:
        """Return whether the caller must compute a text, and `settle` it then. `take` gets its rows, now or later.

        Rows are at hand where those of the outputs that are `wanted` of this text are, by default of all of the claim,
        whatever is computed for the texts beside it.
        """
        with self._lock:
            known = self._find(claim.key, claim.outputs if wanted is None else wanted)
            if known is None:
                takers = self._under_way.setdefault(claim, [])
                takers.append(take)
                return len(takers) == 1
        take(known)
        return False

    def settle(self, claim: Claim, rows: Rows | Exception) -> None:
        """Hand the rows of a text, or the error in their place, to all takers that wait; finite rows are kept."""
        takers: list[Take] = []
        try:
            with self._lock:
                takers = self._under_way.pop(claim, [])
                if not isinstance(rows, Exception):
                    with suppress(MemoryError):  # then the text is computed again when it comes again
                        self._keep(claim, rows)
        finally:
            for take in takers:
                take(rows)

    def _keep(self, claim: Claim, rows: Rows) -> None:
        for output, own in rows.items():
            if np.isfinite(own).all():
                self._put((output, claim.key), own)

    def _find(self, key: Key, outputs: tuple[str, ...]) -> dict[str, NDArray[np.float32]] | None:
        """Return the rows of a text; None where one of the outputs is missing."""
        found = {}
        for output in outputs:
            rows = self._entries.get((output, key))
            if rows is None:
                return None
            found[output] = rows
        for output in outputs:
            self._entries.move_to_end((output, key))
        return found

    def _put(self, place: tuple[str, Key], rows: NDArray[np.float32]) -> None:
        size = _size(place, rows)
        if size > self._max_bytes // LARGEST_SHARE:
            return
        before = self._entries.pop(place, None)
        if before is not None:
            self.bytes -= _size(place, before)
        self._entries[place] = rows.copy()  # a part of the batch's array would keep all of it
        self.bytes += size
        while self.bytes > self._max_bytes:
            self.bytes -= _size(*self._entries.popitem(last=False))


def keys_of(columns: Mapping[str, Sequence[NDArray[np.int64]]]) -> list[Key]:
    """Return the key of each text, from its parts of the graph inputs; ids fit into half of the bytes in which they
    travel."""
    parts = [[values.astype(np.int32).tobytes() for values in column] for column in columns.values()]
    return list(zip(*parts, strict=True))


def _size(place: tuple[str, Key], rows: NDArray[np.float32]) -> int:
    return int(rows.nbytes) + sum(map(len, place[1])) + OVERHEAD_BYTES
