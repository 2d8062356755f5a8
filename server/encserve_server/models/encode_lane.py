"""One lane of the encode step: requests wait in it, and a thread of its own computes them batch by batch."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from .load_page import Load

NICENESS = {"interactive": 0, "bulk": 10}
"""Of the threads of a lane. The kernel gives a thread of niceness 10 about a tenth of a core that both lanes want, and
the whole core when nobody else wants it: bulk work makes way within a millisecond, and never stops."""
FADING = 0.9
"""Of the rate, from batch to batch: the best of late. A request is refused for the work before it, so the rate must not
be that of a batch which had to share the processor."""
ROOM_S = 0.5
"""Work that a lane wants to have waiting."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A request in the lane."""

    columns: dict[str, list[NDArray[Any]]]
    tokens: int
    arrived_s: float
    request: Any
    """To ask for its timeout and whether it was cancelled."""
    sender: Any


class EncodeLane:
    """A queue, the thread that empties it, and the threads that compute.

    Args:
        name: one of `lanes.LANES`.
        answer: computes a batch on a pool of threads and answers each of its requests; returns the tokens that it
            computed, and raises nothing.
        tell: takes what the lane has to do.
        threads: that compute.
        token_budget: of one micro-batch.
    """

    def __init__(
        self,
        name: str,
        answer: Callable[[Sequence[Waiting], ThreadPoolExecutor], int],
        tell: Callable[[Load], None],
        *,
        threads: int,
        token_budget: int,
    ) -> None:
        self._answer = answer
        self._tell = tell
        self._least = 2 * threads * token_budget
        self._most = 8 * threads * token_budget
        self._representative = threads * token_budget  # a smaller batch does not keep all threads busy
        self._rate = 0.0
        self._tokens = 0
        self._jobs: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        niceness = NICENESS[name]
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix=f"{name}-batch", initializer=_be_nice, initargs=(niceness,)
        )
        self._thread = threading.Thread(target=self._work, args=(niceness,), name=name, daemon=True)
        self._publish()
        self._thread.start()

    def put(self, jobs: Sequence[Waiting]) -> None:
        """Let requests wait for their turn."""
        with self._changed:
            self._jobs.extend(jobs)
            self._tokens += sum(job.tokens for job in jobs)
            self._publish()
            self._changed.notify()

    def close(self) -> None:
        """Compute what waits, and end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._pool.shutdown()

    def _work(self, niceness: int) -> None:
        _be_nice(niceness)
        while batch := self._next():
            began_s = time.perf_counter()
            tokens = self._answer(batch, self._pool)
            rate = tokens / (time.perf_counter() - began_s)
            with self._changed:
                if tokens >= self._representative:
                    self._rate = max(rate, FADING * self._rate)
                self._tokens -= sum(job.tokens for job in batch)
                self._publish()

    def _next(self) -> list[Waiting]:
        """The requests that came first, as many as make a good batch; none once the lane is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            batch: list[Waiting] = []
            tokens = 0
            while self._jobs and (not batch or tokens + self._jobs[0].tokens <= self._most):
                batch.append(self._jobs.popleft())
                tokens += batch[-1].tokens
            return batch

    def _publish(self) -> None:
        room = min(max(self._rate * ROOM_S, self._least), self._most)
        self._tell(Load(tokens=self._tokens, rate=self._rate, room=room))


def _be_nice(niceness: int) -> None:
    if niceness:  # of this thread alone, which Linux lets every user do
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
