"""Texts that come again: computed once where they share a batch or come soon after one another.

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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

SETTING = "ENCSERVE_RECENT_ROWS_MIB"
"""Environment variable with the MiB that rows may take; without it, or with 0, all of this is off."""
DEFAULT_MIB = 0.0
"""Off: a load test that repeats its texts would measure this memory, and not the encoder."""
LARGEST_SHARE = 8
"""An entry that takes more than one such part of the memory is not kept: it would drive out too many others."""
OVERHEAD_BYTES = 400
"""Of an entry beside its ids and its rows: the objects that Python makes of it, about."""

Columns: TypeAlias = Mapping[str, Sequence[NDArray[np.int64]]]
"""Graph input -> what each text has of it."""
Key: TypeAlias = tuple[bytes, ...]
"""What a text has of each graph input."""


class Session(Protocol):
    """What computes rows; see `PackedSession`."""

    def run(
        self, columns: Columns, outputs: Sequence[str], *, pool: ThreadPoolExecutor | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """The rows of all texts, (rows, W) of each output."""

    def rows_of(self, columns: Columns, output: str) -> NDArray[np.int64]:
        """How many rows of an output belong to each text: (n,)."""


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
    """Rows that are not computed again, at most `max_bytes` of them; what was not asked for longest goes first."""

    def __init__(self, session: Session, *, max_bytes: int) -> None:
        self._session = session
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, Key], NDArray[np.float32]] = OrderedDict()
        self.bytes = 0
        """Taken by entries now."""
        self.texts = 0
        """Texts asked for so far."""
        self.repeated = 0
        """Those of them that were not computed."""

    def run(
        self, columns: Columns, outputs: Sequence[str], *, pool: ThreadPoolExecutor | None = None
    ) -> tuple[dict[str, NDArray[np.float32]], int]:
        """The rows of all texts, (rows, W) of each of `outputs` in the order of the texts; and how many tokens were
        computed for them. Several threads may call it; they compute side by side."""
        count = len(columns["input_ids"])
        if not self._max_bytes:
            with self._lock:
                self.texts += count
            return self._session.run(columns, outputs, pool=pool), _tokens(columns)
        keys = _keys(columns)
        with self._lock:
            known = {key: rows for key in dict.fromkeys(keys) if (rows := self._find(key, outputs)) is not None}
            fresh: dict[Key, int] = {}  # -> the first text that has it
            for index, key in enumerate(keys):
                if key not in known:
                    fresh.setdefault(key, index)
            self.texts += count
            self.repeated += count - len(fresh)
        if not fresh:
            return _together(keys, known, outputs), 0
        if len(fresh) == count:
            computed = self._session.run(columns, outputs, pool=pool)
            self._keep(keys, columns, computed)
            return computed, _tokens(columns)
        own = {name: [column[index] for index in fresh.values()] for name, column in columns.items()}
        computed = self._session.run(own, outputs, pool=pool)
        known |= self._keep(list(fresh), own, computed)
        return _together(keys, known, outputs), _tokens(own)

    def _find(self, key: Key, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]] | None:
        """The rows of a text; None where one of the outputs is missing."""
        found = {}
        for output in outputs:
            rows = self._entries.get((output, key))
            if rows is None:
                return None
            found[output] = rows
        for output in outputs:
            self._entries.move_to_end((output, key))
        return found

    def _keep(
        self, keys: Sequence[Key], columns: Columns, computed: Mapping[str, NDArray[np.float32]]
    ) -> dict[Key, dict[str, NDArray[np.float32]]]:
        """Keep the rows of texts, those that are finite; returns the rows of each."""
        each: dict[Key, dict[str, NDArray[np.float32]]] = {key: {} for key in keys}
        for output, rows in computed.items():
            ends = np.cumsum(self._session.rows_of(columns, output)).tolist()
            finite = bool(np.isfinite(rows).all())
            begin = 0
            for key, end in zip(keys, ends, strict=True):
                each[key][output] = own = rows[begin:end]
                if finite or np.isfinite(own).all():
                    with self._lock:
                        self._put((output, key), own)
                begin = end
        return each

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


def _keys(columns: Columns) -> list[Key]:
    """Of each text; ids fit into half of what they travel in."""
    parts = [[values.astype(np.int32).tobytes() for values in column] for column in columns.values()]
    return list(zip(*parts, strict=True))


def _tokens(columns: Columns) -> int:
    return sum(map(len, columns["input_ids"]))


def _together(
    keys: Sequence[Key], known: Mapping[Key, Mapping[str, NDArray[np.float32]]], outputs: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    return {output: np.concatenate([known[key][output] for key in keys]) for output in outputs}


def _size(place: tuple[str, Key], rows: NDArray[np.float32]) -> int:
    return int(rows.nbytes) + sum(map(len, place[1])) + OVERHEAD_BYTES
