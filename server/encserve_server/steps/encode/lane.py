"""One lane of the encode step: requests wait in it, and threads of its own compute them.

There are no rounds. A thread that is free takes the next micro-batch; where there is none, it takes the requests that
wait and cuts them into micro-batches, for itself and for other free threads. So no thread waits for another, and a
request waits for nobody's texts but those that came before its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ..instance.load_page import Load
from ..instance.loops import Loop, Report, print_fault
from .request import EncodeRequest, as_exception

NICENESS = {"interactive": 0, "bulk": 10}
"""Lane -> the niceness of its threads. The kernel gives a thread of niceness 10 about a tenth of a core that both lanes
want, and the whole core when nobody else wants it: bulk work makes way within a millisecond, and never stops."""
FADING = 0.985
"""The factor by which the best rate of late fades with each micro-batch. A request is refused for the work before it,
so the rate must not be that of a moment in which the processor was shared."""
ROOM_S = 0.5
"""Seconds of work that a lane wants to have waiting."""


class Work(Protocol):
    """A piece of work that one thread computes at a time."""

    @property
    def tokens(self) -> int:
        """The number of tokens that it computes."""

    def run(self) -> None:
        """Compute the texts, and answer the requests that are complete then."""

    def give_up(self, error: BaseException) -> None:
        """Answer the requests of texts that were not computed with `error`."""


@dataclass(frozen=True, kw_only=True)
class LaneSize:
    """How much a lane computes at a time."""

    threads: int
    token_budget: int
    """The most tokens of one micro-batch."""

    @property
    def at_once(self) -> int:
        """The number of tokens that are cut together: enough to find texts of similar lengths, and not all that wait,
        so that their callers are not answered all at once and come back all at once."""
        return 4 * self.threads * self.token_budget

    @property
    def representative(self) -> int:
        """The tokens of a micro-batch that says something of the rate."""
        return self.token_budget // 4

    @property
    def most(self) -> int:
        """The most tokens that it ever wants to have waiting."""
        return 8 * self.threads * self.token_budget

    def room(self, rate: float) -> float:
        """The tokens that it wants to have waiting where it computes `rate` tokens a second."""
        return min(max(rate * ROOM_S, 2 * self.threads * self.token_budget), self.most)


class EncodeLane:
    """A queue of requests, and the threads that empty it.

    Args:
        name: One of `lanes.LANES`.
        cut: Cuts requests into micro-batches, for as many free threads as it is told.
        publish: Takes the load of the lane whenever that changes.
        size: How many threads compute, and how much each at a time.
        report: Takes what goes wrong in a thread.
    """

    def __init__(
        self,
        name: str,
        cut: Callable[[Sequence[EncodeRequest], int], Sequence[Work]],
        publish: Callable[[Load], None],
        size: LaneSize,
        report: Report = print_fault,
    ) -> None:
        self._cut = cut
        self._publish_load = publish
        self._size = size
        self._rate = 0.0
        self._tokens = 0
        self._requests: deque[EncodeRequest] = deque()
        self._works: deque[Work] = deque()
        self._busy = 0
        self._cutting = 0
        self._changed = threading.Condition()
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
            for number in range(size.threads)
        ]

    def put(self, requests: Sequence[EncodeRequest]) -> None:
        """Let requests wait in the lane."""
        with self._changed:
            self._requests.extend(requests)
            self._tokens += sum(request.tokens for request in requests)
            self._changed.notify()
            self._publish()

    @property
    def load(self) -> Load:
        """Return the load of the lane: the tokens that it has, and how fast it last computed."""
        return Load(tokens=self._tokens, rate=self._rate, room=self._size.room(self._rate))

    def close(self) -> None:
        """Compute the requests that wait, and end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _take(self) -> Work | _Uncut | None:
        """Return the next work of this thread; None once the lane is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._works or self._requests or (self._closed and not self._cutting))
            if self._works:
                self._busy += 1
                return self._works.popleft()
            if not self._requests:
                return None
            uncut = _Uncut(self._oldest(), free=self._size.threads - self._busy - self._cutting)
            for _ in uncut.requests:  # only now: what fails before loses nobody
                self._requests.popleft()
            self._cutting += 1
            return uncut

    def _do(self, work: Work | _Uncut) -> None:
        if isinstance(work, _Uncut):
            self._cut_up(work)
        else:
            self._compute(work)

    def _cut_up(self, uncut: _Uncut) -> None:
        """Cut requests into micro-batches, for this thread and for other free ones."""
        works: Sequence[Work] = ()
        try:
            works = self._cut(uncut.requests, uncut.free)
        finally:
            with self._changed:
                self._cutting -= 1
                self._works.extend(works)
                self._tokens -= uncut.tokens - sum(work.tokens for work in works)  # some need no computing
                self._changed.notify_all()
                self._publish()

    def _compute(self, work: Work) -> None:
        began_s, took_s = time.perf_counter(), 0.0
        try:
            work.run()
            took_s = time.perf_counter() - began_s
        finally:
            with self._changed:
                if took_s and self._busy == self._size.threads and work.tokens >= self._size.representative:
                    self._rate = max(self._size.threads * work.tokens / took_s, FADING * self._rate)
                self._busy -= 1
                self._tokens -= work.tokens
                self._publish()

    def _oldest(self) -> list[EncodeRequest]:
        requests: list[EncodeRequest] = []
        tokens = 0
        for request in self._requests:
            tokens += request.tokens
            if requests and tokens > self._size.at_once:
                break
            requests.append(request)
        return requests

    def _publish(self) -> None:
        self._publish_load(self.load)


class _Uncut:
    """Requests that came first and are not cut yet, to be cut for the threads that are free."""

    def __init__(self, requests: Sequence[EncodeRequest], *, free: int) -> None:
        self.requests = requests
        self.free = free
        self.tokens = sum(request.tokens for request in requests)

    def give_up(self, error: BaseException) -> None:
        for request in self.requests:
            request.answer(as_exception(error))


def _make_way(niceness: int) -> None:
    if niceness:  # of this thread alone, which Linux lets every user do
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
