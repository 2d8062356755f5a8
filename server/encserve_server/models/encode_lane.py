"""One lane of the encode step: requests wait in it, and threads of its own compute them.

There are no rounds. A thread that is free takes the next micro-batch; where there is none, it takes the requests that
wait and cuts them into micro-batches, for itself and for whoever else is free. So no thread waits for another, and a
request waits for nobody's texts but those that came before its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from .load_page import Load

NICENESS = {"interactive": 0, "bulk": 10}
"""Of the threads of a lane. The kernel gives a thread of niceness 10 about a tenth of a core that both lanes want, and
the whole core when nobody else wants it: bulk work makes way within a millisecond, and never stops."""
FADING = 0.985
"""Of the rate, from micro-batch to micro-batch: the best of late. A request is refused for the work before it, so the
rate must not be that of a moment in which the processor was shared."""
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


class Work(Protocol):
    """What one thread computes at a time."""

    @property
    def tokens(self) -> int:
        """That it computes."""

    def run(self) -> None:
        """Compute them, and answer the requests that are complete then. Raises nothing."""


class EncodeLane:
    """A queue, and the threads that empty it.

    Args:
        name: one of `lanes.LANES`.
        cut: cuts requests into micro-batches for as many free threads as it is told; raises nothing.
        tell: takes what the lane has to do.
        threads: that compute.
        token_budget: of one micro-batch.
    """

    def __init__(
        self,
        name: str,
        cut: Callable[[Sequence[Waiting], int], Sequence[Work]],
        tell: Callable[[Load], None],
        *,
        threads: int,
        token_budget: int,
    ) -> None:
        self._cut = cut
        self._tell = tell
        self._least = 2 * threads * token_budget
        self._most = 8 * threads * token_budget
        self._at_once = 4 * threads * token_budget
        """Tokens that are cut together: enough to find texts of similar lengths, and not all that wait, so that their
        callers are not answered all at once and come back all at once."""
        self._representative = token_budget // 4  # a smaller micro-batch says little of the rate
        self._rate = 0.0
        self._tokens = 0
        self._jobs: deque[Waiting] = deque()
        self._works: deque[Work] = deque()
        self._busy = 0
        self._cutting = 0
        self._changed = threading.Condition()
        self._closed = False
        self._publish()
        self._threads = [
            threading.Thread(target=self._serve, args=(NICENESS[name],), name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

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
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _serve(self, niceness: int) -> None:
        if niceness:  # of this thread alone, which Linux lets every user do
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
        while (work := self._next()) is not None:
            began_s = time.perf_counter()
            work.run()
            self._done(work.tokens, time.perf_counter() - began_s)

    def _next(self) -> Work | None:
        """What this thread computes next; None once the lane is closed and empty."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._works or self._jobs or (self._closed and not self._cutting))
                if not self._works and not self._jobs:
                    return None
                if not self._works:
                    self._cut_next()
                if self._works:
                    self._busy += 1
                    return self._works.popleft()

    def _cut_next(self) -> None:
        """Cut the requests that came first, with the lock given back meanwhile."""
        jobs, tokens = self._oldest()
        free = len(self._threads) - self._busy - self._cutting
        self._cutting += 1
        self._changed.release()
        try:
            works = self._cut(jobs, free)
        finally:
            self._changed.acquire()
            self._cutting -= 1
        self._works.extend(works)
        self._tokens -= tokens - sum(work.tokens for work in works)  # some need no computing
        self._publish()
        self._changed.notify_all()

    def _oldest(self) -> tuple[list[Waiting], int]:
        jobs: list[Waiting] = []
        tokens = 0
        while self._jobs and (not jobs or tokens + self._jobs[0].tokens <= self._at_once):
            jobs.append(self._jobs.popleft())
            tokens += jobs[-1].tokens
        return jobs, tokens

    def _done(self, tokens: int, took_s: float) -> None:
        with self._changed:
            all_busy = self._busy == len(self._threads)
            self._busy -= 1
            if all_busy and tokens >= self._representative:
                self._rate = max(len(self._threads) * tokens / took_s, FADING * self._rate)
            self._tokens -= tokens
            self._publish()

    def _publish(self) -> None:
        room = min(max(self._rate * ROOM_S, self._least), self._most)
        self._tell(Load(tokens=self._tokens, rate=self._rate, room=room))
