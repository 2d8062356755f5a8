"""The queue in which requests wait until the encode step has room for them.

Requests wait here, as texts, and not before the network: what waits here was not tokenized, is dropped unread when its
time is up, and is refused at once where too much waits already. Each lane has its own queue.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field

from ...instance.lanes import LANES
from ...instance.load_page import Load
from ..limits import estimated_tokens
from .lane_queue import LaneQueue, QueuedRequest

POLL_S = 0.01
"""Seconds between two looks at a full encode step."""
SHARE_OF_TIMEOUT = 0.5
"""The share of its timeout that a request may have to wait; beyond that it is refused, since it would be computed for
nobody."""
RELEASED_TOKENS = 2_048
"""The tokens, as estimated, that go on together, so that neither lane waits for the tokenizer of the other."""
VECTORS_PER_TOKEN = 64
"""The vectors that are given of documents and together take what a token does. One of 128 numbers in float32 took 6 us
of a processor to be read and to be scored for a query of 32, a token of all-MiniLM-L6-v2 450 us. Counted as a token
each, the vectors of one request would say that half a minute of work waits, and others be refused for it."""
LIMITS = ("max_queued_texts", "max_queued_bytes", "timeout")
"""The names of the limits for which a request is refused."""


class Overloaded(Exception):
    """The request is refused; the message names the limit and the value."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit
        """The name of the limit, for the counter."""


@dataclass(frozen=True, kw_only=True)
class QueueLimits:
    """The most that may wait in each lane."""

    max_queued_texts: int
    """Rows that the network will see; one request alone may have more."""
    max_queued_bytes: int
    """Bytes of their texts, in UTF-8; one request alone may have more."""


@dataclass
class Released:
    """Requests that wait no longer, each to be answered by the thread that takes them."""

    ready: list[QueuedRequest] = field(default_factory=list)
    """The requests that may go on."""
    late: list[QueuedRequest] = field(default_factory=list)
    """The requests whose time is up, or will be before the encode step has done what it has."""
    refused: list[tuple[QueuedRequest, Overloaded]] = field(default_factory=list)
    """The requests that waited, and are refused after all."""

    @property
    def requests(self) -> list[QueuedRequest]:
        """Return all of the requests."""
        return [*self.ready, *self.late, *(request for request, _ in self.refused)]


class AdmissionQueue:
    """The queues of the lanes of a tokenize step. One thread lets requests in, another takes those that are released.

    Args:
        limits: The limits of each lane.
        load: Returns the load of the encode step in a lane; None where that says nothing, and then nobody waits.
        publish: Takes the load that waits in a lane.
        clock: Returns the seconds of a clock that never goes back.
    """

    def __init__(
        self,
        limits: QueueLimits,
        load: Callable[[str], Load | None],
        *,
        publish: Callable[[str, Load], None] = lambda lane, load: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._load = load
        self._publish_load = publish
        self._clock = clock
        self._rated: set[str] = set()
        """The lanes of which the encode step has ever stated a rate."""
        self._queues = {lane: LaneQueue() for lane in LANES}
        self._released = Released()
        """The requests that were taken out of the queues, until `next` hands them over: a failure in between loses
        nobody."""
        self._changed = threading.Condition()
        self._closed = False

    def enter(self, request: QueuedRequest, *, before_waiting: Callable[[], None] = lambda: None) -> bool:
        """Return whether the request may go on at once; otherwise it waits, and may be released before this returns.

        Raises:
            Overloaded: it may not even wait.
        """
        with self._changed:
            now_s = self._clock()
            load = self._read_load(request.lane, now_s)
            queue = self._queues[request.lane]
            check_wait(request, queue, load, now_s)
            if not queue.requests and self._fits(queue, load, now_s):
                queue.gone_on.append((now_s, request.tokens))
                return True
            self._check_size(request, queue)
            before_waiting()
            queue.push(request)
            self._publish(request.lane)
            self._changed.notify()
            return False

    def waiting(self, lane: str) -> float:
        """Return the tokens, as estimated, that wait in a lane."""
        return float(self._queues[lane].tokens)

    def cancel(self, request_ids: Set[str]) -> list[QueuedRequest]:
        """Take out the requests of these ids, whose callers have given up, and return them."""
        cancelled: list[QueuedRequest] = []
        with self._changed:
            for lane, queue in self._queues.items():
                cancelled += queue.drop(lambda request: request.request_id in request_ids)
                self._publish(lane)
        return cancelled

    def next(self, *, within_s: float = math.inf) -> Released | None:
        """Wait until requests are released, and return them, or none if there are none in time; None once the queue is
        closed."""
        with self._changed:
            end_s = self._clock() + within_s
            while not self._closed:
                if not self._released.requests:
                    self._take()
                left_s = end_s - self._clock()
                if self._released.requests or left_s <= 0:
                    released, self._released = self._released, Released()
                    return released
                waits = any(queue.requests for queue in self._queues.values())
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
            queue, taken = self._queues[lane], len(self._released.requests)
            computed_s = now_s + (load.tokens / load.rate if load and load.rate else 0.0)  # at the soonest
            while queue.requests and tokens < RELEASED_TOKENS:
                if queue.requests[0].is_late(computed_s):
                    self._released.late.append(queue.pop())
                elif self._fits(queue, load, now_s):
                    request = queue.pop()
                    self._released.ready.append(request)
                    queue.gone_on.append((now_s, request.tokens))
                    tokens += request.tokens
                else:
                    self._released.late += self._drop_late(queue, computed_s)
                    break
            if len(self._released.requests) > taken:
                self._publish(lane)

    def _read_load(self, lane: str, now_s: float) -> Load | None:
        """Return the load of the encode step. Once it states a rate, requests that came before are held to what is
        asked of those that come now, and do not wait until their time is up."""
        load = self._load(lane)
        if load is None or not load.rate or lane in self._rated:
            return load
        before = self._queues[lane]
        after, refused = LaneQueue(gone_on=before.gone_on), []
        for request in before.requests:
            try:
                check_wait(request, after, load, now_s)
                after.push(request)
            except Overloaded as error:
                refused.append((request, error))
        self._rated.add(lane)
        self._queues[lane] = after
        self._released.refused += refused
        self._changed.notify()
        self._publish(lane)
        return load

    @staticmethod
    def _drop_late(queue: LaneQueue, now_s: float) -> list[QueuedRequest]:
        return queue.drop(lambda request: request.is_late(now_s))

    def _publish(self, lane: str) -> None:
        self._publish_load(lane, Load(tokens=self._queues[lane].tokens, rate=0, room=0))

    @staticmethod
    def _fits(queue: LaneQueue, load: Load | None, now_s: float) -> bool:
        return load is None or load.tokens + queue.in_transit(now_s) < load.room

    def _check_size(self, request: QueuedRequest, queue: LaneQueue) -> None:
        lane, limits = request.lane, self._limits
        # A large one may wait alone: it would be told to try again later for ever.
        if queue.texts + request.texts > max(limits.max_queued_texts, request.texts):
            raise Overloaded(
                "max_queued_texts",
                f"the {lane} queue holds {queue.texts} rows and this request {request.texts}; max_queued_texts is "
                f"{limits.max_queued_texts}: try again later",
            )
        if queue.size + request.size > max(limits.max_queued_bytes, request.size):
            raise Overloaded(
                "max_queued_bytes",
                f"the {lane} queue holds {queue.size} bytes of text and this request {request.size}; max_queued_bytes "
                f"is {limits.max_queued_bytes}: try again later",
            )


def check_wait(request: QueuedRequest, queue: LaneQueue, load: Load | None, now_s: float) -> None:
    """Refuse a request that would wait for too long, also one that finds room: on a slow machine the room itself may be
    more than a caller waits for. Raises Overloaded."""
    if request.timeout_s and load is not None and load.rate:
        wait_s = (queue.tokens + load.tokens + queue.in_transit(now_s)) / load.rate
        if now_s - request.arrived_s + wait_s > SHARE_OF_TIMEOUT * request.timeout_s:
            raise Overloaded(
                "timeout",
                f"about {wait_s:.1f} s of {request.lane} work wait before this request; of its timeout of "
                f"{request.timeout_s:.3g} s it may wait {SHARE_OF_TIMEOUT * request.timeout_s:.3g} s: try again "
                "later",
            )


def estimate_tokens(rows: Sequence[Sequence[str]], max_length: int, *, given_vectors: int = 0) -> int:
    """Return roughly how many tokens the network will see of rows whose texts were not tokenized yet, and what vectors
    take that are given beside them."""
    seen = sum(min(max_length, sum(map(estimated_tokens, row))) for row in rows)
    return seen + math.ceil(given_vectors / VECTORS_PER_TOKEN)
