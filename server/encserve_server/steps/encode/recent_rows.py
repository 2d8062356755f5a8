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
"""Environment variable with the MiB that rows may take; without it, or with 0, all of this is off."""
DEFAULT_MIB = 0.0
"""Off: a load test that repeats its texts would measure this memory, and not the encoder."""
LARGEST_SHARE = 8
"""An entry that takes more than one such part of the memory is not kept: it would drive out too many others."""
OVERHEAD_BYTES = 400
"""Of an entry beside its ids and its rows: the objects that Python makes of it, about."""

Key: TypeAlias = tuple[bytes, ...]
"""What a text has of each graph input."""
Take: TypeAlias = Callable[[Rows | Exception], None]
"""Takes the rows of a text, or why there are none."""


class Claim(NamedTuple):
    """What is computed once."""

    lane: str
    """Nobody waits for what another lane computes: it may take long."""
    outputs: tuple[str, ...]
    key: Key


def max_bytes_from(environment: Mapping[str, str] = os.environ) -> int:
    """How much rows may take, from the environment of the step. Raises ValueError if it says no size."""
    text = environment.get(SETTING) or str(DEFAULT_MIB)
    try:
        mib = float(text)
    except ValueError:
        mib = -1.0
    if not 0 <= mib < 1e6:
        raise ValueError(f"{SETTING} is {text!r}, expected a number of MiB, or 0 to keep nothing")
    return int(mib * 2**20)


class RecentRows:
    """Rows that are not computed again, at most `max_bytes` of them; what was not asked for longest goes first.

    Any number of threads may use it.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self.keeps = max_bytes > 0
        """Whether it does anything; without it nothing needs to be claimed."""
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, Key], NDArray[np.float32]] = OrderedDict()
        self._under_way: dict[Claim, list[Take]] = {}
        self.bytes = 0
        """Taken by entries now."""

    def claim(self, claim: Claim, take: Take) -> bool:
        """Whether the caller must compute a text, and `settle` it. `take` gets its rows, now or then."""
        with self._lock:
            known = self._find(claim)
            if known is None:
                takers = self._under_way.setdefault(claim, [])
                takers.append(take)
                return len(takers) == 1
        take(known)
        return False

    def settle(self, claim: Claim, rows: Rows | Exception) -> None:
        """Hand the rows of a text to all who wait for them, or why there are none; they are kept if they are finite."""
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

    def _find(self, claim: Claim) -> dict[str, NDArray[np.float32]] | None:
        """The rows of a text; None where one of the outputs is missing."""
        found = {}
        for output in claim.outputs:
            rows = self._entries.get((output, claim.key))
            if rows is None:
                return None
            found[output] = rows
        for output in claim.outputs:
            self._entries.move_to_end((output, claim.key))
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
    """Of each text, from what it has of each graph input; ids fit into half of what they travel in."""
    parts = [[values.astype(np.int32).tobytes() for values in column] for column in columns.values()]
    return list(zip(*parts, strict=True))


def _size(place: tuple[str, Key], rows: NDArray[np.float32]) -> int:
    return int(rows.nbytes) + sum(map(len, place[1])) + OVERHEAD_BYTES
