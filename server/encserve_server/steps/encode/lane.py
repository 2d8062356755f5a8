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
from functools import partial
from typing import Protocol

from ..instance.load_page import Load
from ..instance.loops import Loop, Report, print_fault
from .request import EncodeRequest, as_exception

NICENESS = {"interactive": 0, "bulk": 10}
"""Of the threads of a lane. The kernel gives a thread of niceness 10 about a tenth of a core that both lanes want, and
the whole core when nobody else wants it: bulk work makes way within a millisecond, and never stops."""
FADING = 0.985
"""Of the rate, from micro-batch to micro-batch: the best of late. A request is refused for the work before it, so the
rate must not be that of a moment in which the processor was shared."""
ROOM_S = 0.5
"""Work that a lane wants to have waiting."""


class Work(Protocol):
    """What one thread computes at a time."""

    @property
    def tokens(self) -> int:
        """That it computes."""

    def run(self) -> None:
        """Compute them, and answer the requests that are complete then."""

    def give_up(self, error: BaseException) -> None:
        """Answer for what was not computed."""


class EncodeLane:
    """A queue, and the threads that empty it.

    Args:
        name: one of `lanes.LANES`.
        cut: cuts requests into micro-batches for as many free threads as it is told.
        tell: takes what the lane has to do.
        threads: that compute.
        token_budget: of one micro-batch.
        report: takes what goes wrong in a thread.
    """

    def __init__(
        self,
        name: str,
        cut: Callable[[Sequence[EncodeRequest], int], Sequence[Work]],
        tell: Callable[[Load], None],
        *,
        threads: int,
        token_budget: int,
        report: Report = print_fault,
    ) -> None:
        self._cut = cut
        self._tell = tell
        self._least = 2 * threads * token_budget
        self._most = 8 * threads * token_budget
        self._at_once = 4 * threads * token_budget
        """Tokens that are cut together: enough to find texts of similar lengths, and not all that wait, so that their
        callers are not answered all at once and come back all at once."""
        self._representative = token_budget // 4  # a smaller micro-batch says little of the rate
        self._count = threads
        self._rate = 0.0
        self._tokens = 0
        self._jobs: deque[EncodeRequest] = deque()
        self._works: deque[Work] = deque()
        self._busy = 0
        self._cutting = 0
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._became_idle = threading.Condition(lock)
        self._closed = False
        self._publish()
        self._threads = [
            Loop[Work | _Uncut](
                f"{name}-{number}",
                take=self._take,
                do=self._do,
                give_up=lambda work, error: work.give_up(error),
                report=lambda where, error: report(f"lane {name}", error),
                begin=partial(_make_way, NICENESS[name]),
            ).start()
            for number in range(threads)
        ]

    def put(self, jobs: Sequence[EncodeRequest]) -> None:
        """Let requests wait for their turn."""
        with self._changed:
            self._jobs.extend(jobs)
            self._tokens += sum(job.tokens for job in jobs)
            self._changed.notify()
            self._publish()

    @property
    def load(self) -> Load:
        """What it has to do, and how fast it last was."""
        room = min(max(self._rate * ROOM_S, self._least), self._most)
        return Load(tokens=self._tokens, rate=self._rate, room=room)

    def wait_until_idle(self) -> None:
        """Wait until all requests are answered and all threads wait for the next: an answer comes a moment before."""
        with self._became_idle:
            self._became_idle.wait_for(lambda: not (self._jobs or self._works or self._busy or self._cutting))

    def close(self) -> None:
        """Compute what waits, and end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _take(self) -> Work | _Uncut | None:
        """What this thread does next; None once the lane is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._works or self._jobs or (self._closed and not self._cutting))
            if self._works:
                self._busy += 1
                return self._works.popleft()
            if not self._jobs:
                return None
            uncut = _Uncut(self._oldest(), free=self._count - self._busy - self._cutting)
            for _ in uncut.jobs:  # only now: what fails before loses nobody
                self._jobs.popleft()
            self._cutting += 1
            return uncut

    def _do(self, work: Work | _Uncut) -> None:
        if isinstance(work, _Uncut):
            self._cut_up(work)
        else:
            self._compute(work)

    def _cut_up(self, uncut: _Uncut) -> None:
        """Cut requests into micro-batches, for this thread and whoever else is free."""
        works: Sequence[Work] = ()
        try:
            works = self._cut(uncut.jobs, uncut.free)
        finally:
            with self._changed:
                self._cutting -= 1
                self._works.extend(works)
                self._tokens -= uncut.tokens - sum(work.tokens for work in works)  # some need no computing
                self._changed.notify_all()
                self._became_idle.notify_all()  # where nothing needed computing
                self._publish()

    def _compute(self, work: Work) -> None:
        began_s, took_s = time.perf_counter(), 0.0
        try:
            work.run()
            took_s = time.perf_counter() - began_s
        finally:
            with self._changed:
                if took_s and self._busy == self._count and work.tokens >= self._representative:
                    self._rate = max(self._count * work.tokens / took_s, FADING * self._rate)
                self._busy -= 1
                self._tokens -= work.tokens
                self._became_idle.notify_all()
                self._publish()

    def _oldest(self) -> list[EncodeRequest]:
        jobs: list[EncodeRequest] = []
        tokens = 0
        for job in self._jobs:
            tokens += job.tokens
            if jobs and tokens > self._at_once:
                break
            jobs.append(job)
        return jobs

    def _publish(self) -> None:
        self._tell(self.load)


class _Uncut:
    """Requests that came first, to be cut for the threads that are free."""

    def __init__(self, jobs: Sequence[EncodeRequest], *, free: int) -> None:
        self.jobs = jobs
        self.free = free
        self.tokens = sum(job.tokens for job in jobs)

    def give_up(self, error: BaseException) -> None:
        for job in self.jobs:
            job.answer(as_exception(error))


def _make_way(niceness: int) -> None:
    if niceness:  # of this thread alone, which Linux lets every user do
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
