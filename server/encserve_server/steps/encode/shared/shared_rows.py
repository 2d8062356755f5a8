"""Rows that another server computed, or this one some time ago: looked up in a cache before texts are computed.

One question for all texts of a batch, by a deadline: what comes late, broken or not at all is computed. A thread of
its own connects, for which there is no deadline where a name is looked up, and keeps what was computed, so that nobody
waits for either. Nothing that the cache says can make an answer
wrong (`entries`); the worst that it can do is to cost its budget, until it is left alone (`worth`).
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...instance.loops import Loop, Report, print_fault
from ..recent_rows import Key
from ..request import Rows
from .connection import CacheFailed, Connection
from .entries import Entries
from .settings import SharedSettings
from .worth import Worth

FOUND, MISSING, REJECTED, LATE = "found", "missing", "rejected", "failed"
KEPT, DROPPED, COSTS_MORE = "kept", "dropped", "costs more"
EVENTS = (FOUND, MISSING, REJECTED, LATE, KEPT, DROPPED, COSTS_MORE)
"""What is counted: texts that were found, not there, and there but not as they were kept; questions that failed; rows
that were kept, and that were not; and that the cache is left alone because it costs more than it spares."""
MOST_WAITING_BYTES = 32 * 2**20
"""The bytes of the rows that wait to be kept; what comes beyond is not kept."""
_AT_ONCE = 64
_CONNECT_S = _PUT_S = 1.0
_CLOSE_S = 5.0
"""The seconds that the thread has to end; it may be looking a name up, and ends with the process then."""

Work = Callable[[], None]
Count = Callable[[str, int], None]
Warn = Callable[[str], None]
"""A function that takes a sentence for the operator; raises nothing."""


def print_warning(sentence: str) -> None:
    """Say it on the standard error stream, where there is no server."""
    print(sentence, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Wanted:
    """The rows of one text."""

    key: Key
    rows: dict[str, int]
    """Output -> how many rows it has for the text."""
    tokens: int


class SharedRows:
    """The cache of one graph. Any number of threads may use it; nothing that it does raises an error."""

    def __init__(
        self,
        settings: SharedSettings,
        graph: bytes,
        *,
        count: Count = lambda event, number: None,
        warn: Warn = print_warning,
        report: Report = print_fault,
        worth: Worth | None = None,
    ) -> None:
        """`graph` names the graph with all that its rows depend on; `count` takes what happened, one of `EVENTS`, and
        `warn` why the cache is left alone from now on."""
        self._entries = Entries(settings.secret, graph)
        self._budget_s = settings.budget_s
        self._count, self._warn, self._report = count, warn, report
        self.worth = worth or Worth()
        self._asking = threading.Lock()
        self._reading, self._writing = Connection(settings), Connection(settings)
        self._changed = threading.Condition()
        self._waiting: deque[tuple[str, Key, NDArray[np.float32]]] = deque()
        self._waiting_bytes = 0
        self._connecting = False
        """Whether the thread has the connection for reading, to open it; else it is that of who holds `_asking`."""
        self._why_not = ""
        """Why it could not be opened."""
        self._closed = False
        self._thread = Loop[Work](
            "shared-rows",
            take=self._take,
            do=lambda work: work(),
            give_up=lambda work, error: self._writing.close(),
            report=report,
        ).start()

    def find(self, wanted: Sequence[Wanted]) -> list[Rows | None]:
        """Return the rows of each text; None for what must be computed. Raises nothing."""
        found: list[Rows | None] | None = None
        try:
            if wanted and self.worth.open:
                found = self._ask(wanted)
        except BaseException as error:  # a fault of ours, for which no text may fail
            self._report("shared rows", error)
        return found or [None] * len(wanted)

    def _ask(self, wanted: Sequence[Wanted]) -> list[Rows | None] | None:
        began_s = time.monotonic()
        if not self._asking.acquire(timeout=self._budget_s):
            return None  # another thread asks, and has no answer yet
        try:
            if self.worth.open:  # still, after the other's answer
                return self._look_up(wanted, began_s)
        except CacheFailed as error:
            self._failed(began_s, error)
        except BaseException:
            self._reading.close()
            self.worth.failed(time.monotonic() - began_s)
            raise
        finally:
            self._asking.release()
        return None

    def _failed(self, began_s: float, error: CacheFailed) -> None:
        self._count(LATE, 1)
        if self.worth.failed(time.monotonic() - began_s):
            self._warn(f"the cache of shared rows is left alone for a while: {error}")

    def _look_up(self, wanted: Sequence[Wanted], began_s: float) -> list[Rows | None]:
        until_s = began_s + self._budget_s
        self._await_connection(until_s)
        asked = [(self._entries.name(output, each.key), output) for each in wanted for output in each.rows]
        values = iter(self._reading.get([name for name, _ in asked], timeout_s=until_s - time.monotonic()))
        names = iter(asked)
        found: list[Rows | None] = []
        spared = rejected = 0
        for each in wanted:
            rows: dict[str, NDArray[np.float32]] = {}
            for count in each.rows.values():
                (name, output), value = next(names), next(values)
                own = None if value is None else self._entries.opened(name, value, count)
                if own is not None and np.isfinite(own).all():
                    rows[output] = own
                elif value is not None:
                    rejected += 1
            whole = len(rows) == len(each.rows)
            found.append(rows if whole else None)
            spared += each.tokens if whole else 0
        hits = sum(rows is not None for rows in found)
        for event, number in ((FOUND, hits), (MISSING, len(found) - hits), (REJECTED, rejected)):
            self._count(event, number)
        if self.worth.looked_up(time.monotonic() - began_s, spared):
            self._count(COSTS_MORE, 1)
        return found

    def _await_connection(self, until_s: float) -> None:
        """Have the thread connect where that is needed, and wait for it. Raises CacheFailed."""
        with self._changed:
            if self._reading.is_open and not self._connecting:
                return
            self._connecting = True
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: not self._connecting, until_s - time.monotonic()):
                raise CacheFailed("there was no connection in time")
            if not self._reading.is_open:
                raise CacheFailed(self._why_not)

    def _connect(self) -> None:
        try:
            self._reading.open(timeout_s=_CONNECT_S)
        except CacheFailed as error:
            self._why_not = str(error)
        finally:
            with self._changed:
                self._connecting = False
                self._changed.notify_all()

    def offer(self, key: Key, rows: Rows) -> None:
        """Take the rows of a text that was computed, to keep them when there is time."""
        if not self.worth.keeps:
            return
        with self._changed:
            for output, own in rows.items():
                if self._waiting_bytes + own.nbytes <= MOST_WAITING_BYTES:
                    self._waiting.append((output, key, own.copy()))  # a part of a batch's array would keep all of it
                    self._waiting_bytes += own.nbytes
                else:
                    self._count(DROPPED, 1)
            self._changed.notify_all()

    def close(self) -> None:
        """Keep what waits, if the cache takes it in a second, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_S)
        self._reading.close()
        self._writing.close()

    def _take(self) -> Work | None:
        with self._changed:
            self._changed.wait_for(lambda: self._connecting or self._waiting or self._closed)
            if self._connecting:
                return self._connect
            taken = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            self._waiting_bytes -= sum(rows.nbytes for _, _, rows in taken)
            return partial(self._keep, taken) if taken else None

    def _keep(self, waiting: Sequence[tuple[str, Key, NDArray[np.float32]]]) -> None:
        if not self.worth.keeps:
            self._count(DROPPED, len(waiting))
            return
        began_s = time.thread_time()
        named = [(self._entries.name(output, key), rows) for output, key, rows in waiting if np.isfinite(rows).all()]
        if not named:
            return
        values = [(name, self._entries.sealed(name, rows)) for name, rows in named]
        try:
            self._writing.open(timeout_s=_CONNECT_S)
            self._writing.put(values, timeout_s=_PUT_S)
        except CacheFailed as error:
            self._count(DROPPED, len(values))
            if self.worth.not_kept():
                self._warn(f"no shared rows are kept for a while: {error}")
        else:
            self._count(KEPT, len(values))
            self.worth.kept(time.thread_time() - began_s)  # of a core, which the network does not have meanwhile
