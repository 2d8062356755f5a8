"""Who may go on to the encode step now, who waits, and who is refused.

Requests wait here, as texts, and not before the network: what waits here was not tokenized, is dropped unread when its
time is up, and is refused at once where too much waits already. Each lane has its own queue.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from .lanes import LANES
from .load_page import Load

TRANSIT_S = 0.02
"""How long a request that went on may take until the encode step counts it."""
POLL_S = 0.01
"""How often a full encode step is looked at."""
SHARE_OF_TIMEOUT = 0.5
"""A request that would wait for more than this share of its timeout is refused: it would be computed for nobody."""
TURN_TOKENS = 2_048
"""Tokens, as estimated, that go on together, so that neither lane waits for the tokenizer of the other."""


class Overloaded(Exception):
    """The request is refused; the message names the limit and the value."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit
        """The name of the limit, for the counter."""


@dataclass(frozen=True, kw_only=True)
class QueueLimits:
    """How much may wait in each lane."""

    max_queued_texts: int
    max_queued_bytes: int


@dataclass(frozen=True, kw_only=True)
class Job:
    """A request at the door."""

    lane: str
    texts: int
    size: int
    """Bytes of its texts."""
    tokens: int
    """Roughly."""
    request_id: str
    """By which its caller may cancel it; empty where it has none."""
    timeout_s: float
    """How long its caller waits; 0 for ever."""
    arrived_s: float
    work: Any

    def is_late(self, now_s: float) -> bool:
        """Whether its caller has given up."""
        return 0 < self.timeout_s < now_s - self.arrived_s


@dataclass
class _Queue:
    jobs: deque[Job] = field(default_factory=deque)
    texts: int = 0
    size: int = 0
    tokens: int = 0
    gone_on: deque[tuple[float, int]] = field(default_factory=deque)  # (when, tokens) of the last TRANSIT_S

    def push(self, job: Job) -> None:
        self.jobs.append(job)
        self._count(job, 1)

    def pop(self) -> Job:
        job = self.jobs.popleft()
        self._count(job, -1)
        return job

    def drop(self, unwanted: Callable[[Job], bool]) -> list[Job]:
        dropped = [job for job in self.jobs if unwanted(job)]
        if dropped:
            self.jobs = deque(job for job in self.jobs if not unwanted(job))
            for job in dropped:
                self._count(job, -1)
        return dropped

    def in_transit(self, now_s: float) -> int:
        while self.gone_on and self.gone_on[0][0] < now_s - TRANSIT_S:
            self.gone_on.popleft()
        return sum(tokens for _, tokens in self.gone_on)

    def _count(self, job: Job, sign: int) -> None:
        self.texts += sign * job.texts
        self.size += sign * job.size
        self.tokens += sign * job.tokens


class Turns:
    """The queues of a tokenize step. One thread lets requests in, another takes those whose turn it is.

    Args:
        limits: of each lane.
        load: what the encode step says of a lane; None where it says nothing, and then nobody waits.
        tell: takes what waits in a lane.
    """

    def __init__(
        self,
        limits: QueueLimits,
        load: Callable[[str], Load | None],
        *,
        tell: Callable[[str, Load], None] = lambda lane, load: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._load = load
        self._tell = tell
        self._clock = clock
        self._queues = {lane: _Queue() for lane in LANES}
        self._changed = threading.Condition()
        self._closed = False

    def enter(self, job: Job) -> bool:
        """Whether the request may go on at once; otherwise it waits for its turn.

        Raises:
            Overloaded: it may not even wait.
        """
        with self._changed:
            queue, now_s = self._queues[job.lane], self._clock()
            load = self._load(job.lane)
            self._check_time(job, queue, load, now_s)
            if not queue.jobs and self._fits(queue, load, now_s):
                queue.gone_on.append((now_s, job.tokens))
                return True
            self._check_size(job, queue)
            queue.push(job)
            self._tell_of(job.lane)
            self._changed.notify()
            return False

    def cancel(self, request_ids: Set[str]) -> list[Job]:
        """Take out what waits under these ids: their callers have given up."""
        cancelled: list[Job] = []
        with self._changed:
            for lane, queue in self._queues.items():
                cancelled += queue.drop(lambda job: job.request_id in request_ids)
                self._tell_of(lane)
        return cancelled

    def next(self, *, within_s: float) -> tuple[list[Job], list[Job]] | None:
        """Wait for the next turn: those who may go on, and those whose time is up, or will be before the encode step
        has done what it has. Nobody, if the turn does not come in time; None once it is closed."""
        with self._changed:
            end_s = self._clock() + within_s
            while not self._closed:
                ready, late = self._take()
                left_s = end_s - self._clock()
                if ready or late or left_s <= 0:
                    return ready, late
                waits = any(queue.jobs for queue in self._queues.values())
                self._changed.wait(min(POLL_S, left_s) if waits else left_s)
            return None

    def close(self) -> None:
        """End `next`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _take(self) -> tuple[list[Job], list[Job]]:
        ready: list[Job] = []
        late: list[Job] = []
        now_s = self._clock()
        for lane, queue in self._queues.items():
            tokens, load = 0, self._load(lane)
            computed_s = now_s + (load.tokens / load.rate if load and load.rate else 0.0)  # at the soonest
            while queue.jobs and tokens < TURN_TOKENS:
                if queue.jobs[0].is_late(computed_s):
                    late.append(queue.pop())
                elif self._fits(queue, load, now_s):
                    job = queue.pop()
                    queue.gone_on.append((now_s, job.tokens))
                    tokens += job.tokens
                    ready.append(job)
                else:
                    late += self._drop_late(queue, computed_s)
                    break
            if ready or late:
                self._tell_of(lane)
        return ready, late

    @staticmethod
    def _drop_late(queue: _Queue, now_s: float) -> list[Job]:
        return queue.drop(lambda job: job.is_late(now_s))

    def _tell_of(self, lane: str) -> None:
        self._tell(lane, Load(tokens=self._queues[lane].tokens, rate=0, room=0))

    @staticmethod
    def _fits(queue: _Queue, load: Load | None, now_s: float) -> bool:
        return load is None or load.tokens + queue.in_transit(now_s) < load.room

    def _check_size(self, job: Job, queue: _Queue) -> None:
        lane, limits = job.lane, self._limits
        if queue.texts + job.texts > limits.max_queued_texts:
            raise Overloaded(
                "max_queued_texts",
                f"the {lane} queue holds {queue.texts} texts and this request {job.texts}; max_queued_texts is "
                f"{limits.max_queued_texts}: try again later",
            )
        if queue.size + job.size > limits.max_queued_bytes:
            raise Overloaded(
                "max_queued_bytes",
                f"the {lane} queue holds {queue.size} bytes of text and this request {job.size}; max_queued_bytes is "
                f"{limits.max_queued_bytes}: try again later",
            )

    @staticmethod
    def _check_time(job: Job, queue: _Queue, load: Load | None, now_s: float) -> None:
        """Also of who finds room: on a slow machine the room itself may be more than a caller waits for."""
        if job.timeout_s and load is not None and load.rate:
            wait_s = (queue.tokens + load.tokens + queue.in_transit(now_s)) / load.rate
            if wait_s > SHARE_OF_TIMEOUT * job.timeout_s:
                raise Overloaded(
                    "timeout",
                    f"about {wait_s:.1f} s of {job.lane} work wait before this request; of its timeout of "
                    f"{job.timeout_s:.3g} s it may wait {SHARE_OF_TIMEOUT * job.timeout_s:.3g} s: try again later",
                )


def estimate_tokens(groups: Sequence[Sequence[str]], max_length: int) -> int:
    """Roughly how many tokens the network will see of texts that were not tokenized yet."""
    return sum(min(max_length, len(text) // 4 + 2) for group in groups for text in group)
