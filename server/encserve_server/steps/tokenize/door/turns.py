"""Who may go on to the encode step now, who waits, and who is refused.

Requests wait here, as texts, and not before the network: what waits here was not tokenized, is dropped unread when its
time is up, and is refused at once where too much waits already. Each lane has its own queue.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field

from ...instance.load_page import Load
from ...request.lanes import LANES
from .lane_queue import Job, LaneQueue

POLL_S = 0.01
"""How often a full encode step is looked at."""
SHARE_OF_TIMEOUT = 0.5
"""A request that would wait for more than this share of its timeout is refused: it would be computed for nobody."""
TURN_TOKENS = 2_048
"""Tokens, as estimated, that go on together, so that neither lane waits for the tokenizer of the other."""
LIMITS = ("max_queued_texts", "max_queued_bytes", "timeout")
"""For which a request is refused."""


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


@dataclass
class Turn:
    """Requests that wait no longer, each to be answered by whoever takes the turn."""

    ready: list[Job] = field(default_factory=list)
    """They may go on."""
    late: list[Job] = field(default_factory=list)
    """Their time is up, or will be before the encode step has done what it has."""
    refused: list[tuple[Job, Overloaded]] = field(default_factory=list)
    """They waited, and are refused after all."""

    @property
    def jobs(self) -> list[Job]:
        """All of them."""
        return [*self.ready, *self.late, *(job for job, _ in self.refused)]


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
        self._rated: set[str] = set()
        """Lanes of which the encode step has ever said a rate."""
        self._queues = {lane: LaneQueue() for lane in LANES}
        self._turn = Turn()
        """What was taken out of the queues, until `next` hands it over: a failure in between loses nobody."""
        self._changed = threading.Condition()
        self._closed = False

    def enter(self, job: Job, *, before_waiting: Callable[[], None] = lambda: None) -> bool:
        """Whether the request may go on at once; otherwise it waits for its turn, which may come before this returns.

        Raises:
            Overloaded: it may not even wait.
        """
        with self._changed:
            now_s = self._clock()
            load = self._read_load(job.lane, now_s)
            queue = self._queues[job.lane]
            self._check_time(job, queue, load, now_s)
            if not queue.jobs and self._fits(queue, load, now_s):
                queue.gone_on.append((now_s, job.tokens))
                return True
            self._check_size(job, queue)
            before_waiting()
            queue.push(job)
            self._tell_of(job.lane)
            self._changed.notify()
            return False

    def waiting(self, lane: str) -> float:
        """Tokens, as estimated, that wait in a lane."""
        return float(self._queues[lane].tokens)

    def cancel(self, request_ids: Set[str]) -> list[Job]:
        """Take out what waits under these ids: their callers have given up."""
        cancelled: list[Job] = []
        with self._changed:
            for lane, queue in self._queues.items():
                cancelled += queue.drop(lambda job: job.request_id in request_ids)
                self._tell_of(lane)
        return cancelled

    def next(self, *, within_s: float = math.inf) -> Turn | None:
        """Wait for the next turn, which is nobody's if it does not come in time; None once it is closed."""
        with self._changed:
            end_s = self._clock() + within_s
            while not self._closed:
                if not self._turn.jobs:
                    self._take()
                left_s = end_s - self._clock()
                if self._turn.jobs or left_s <= 0:
                    turn, self._turn = self._turn, Turn()
                    return turn
                waits = any(queue.jobs for queue in self._queues.values())
                wait_s = min(POLL_S, left_s) if waits else left_s
                self._changed.wait(wait_s if math.isfinite(wait_s) else None)
            return None

    def close(self) -> None:
        """End `next`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _take(self) -> None:
        now_s = self._clock()
        for lane in LANES:
            tokens, load = 0, self._read_load(lane, now_s)
            queue, taken = self._queues[lane], len(self._turn.jobs)
            computed_s = now_s + (load.tokens / load.rate if load and load.rate else 0.0)  # at the soonest
            while queue.jobs and tokens < TURN_TOKENS:
                if queue.jobs[0].is_late(computed_s):
                    self._turn.late.append(queue.pop())
                elif self._fits(queue, load, now_s):
                    job = queue.pop()
                    self._turn.ready.append(job)
                    queue.gone_on.append((now_s, job.tokens))
                    tokens += job.tokens
                else:
                    self._turn.late += self._drop_late(queue, computed_s)
                    break
            if len(self._turn.jobs) > taken:
                self._tell_of(lane)

    def _read_load(self, lane: str, now_s: float) -> Load | None:
        """What the encode step says. Once it says a rate, those who came before are held to what is asked of those who
        come now, and do not wait until their time is up."""
        load = self._load(lane)
        if load is None or not load.rate or lane in self._rated:
            return load
        before = self._queues[lane]
        after, refused = LaneQueue(gone_on=before.gone_on), []
        for job in before.jobs:
            try:
                self._check_time(job, after, load, now_s)
                after.push(job)
            except Overloaded as error:
                refused.append((job, error))
        self._rated.add(lane)
        self._queues[lane] = after
        self._turn.refused += refused
        self._changed.notify()
        self._tell_of(lane)
        return load

    @staticmethod
    def _drop_late(queue: LaneQueue, now_s: float) -> list[Job]:
        return queue.drop(lambda job: job.is_late(now_s))

    def _tell_of(self, lane: str) -> None:
        self._tell(lane, Load(tokens=self._queues[lane].tokens, rate=0, room=0))

    @staticmethod
    def _fits(queue: LaneQueue, load: Load | None, now_s: float) -> bool:
        return load is None or load.tokens + queue.in_transit(now_s) < load.room

    def _check_size(self, job: Job, queue: LaneQueue) -> None:
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
    def _check_time(job: Job, queue: LaneQueue, load: Load | None, now_s: float) -> None:
        """Also of who finds room: on a slow machine the room itself may be more than a caller waits for."""
        if job.timeout_s and load is not None and load.rate:
            wait_s = (queue.tokens + load.tokens + queue.in_transit(now_s)) / load.rate
            if now_s - job.arrived_s + wait_s > SHARE_OF_TIMEOUT * job.timeout_s:
                raise Overloaded(
                    "timeout",
                    f"about {wait_s:.1f} s of {job.lane} work wait before this request; of its timeout of "
                    f"{job.timeout_s:.3g} s it may wait {SHARE_OF_TIMEOUT * job.timeout_s:.3g} s: try again later",
                )


def estimate_tokens(groups: Sequence[Sequence[str]], max_length: int) -> int:
    """Roughly how many tokens the network will see of texts that were not tokenized yet."""
    return sum(min(max_length, len(text) // 4 + 2) for group in groups for text in group)
