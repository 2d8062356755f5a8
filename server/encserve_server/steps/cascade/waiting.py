"""The requests that wait for a thread of their lane, each of which has one request under way at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from ..instance.lanes import LANES
from ..instance.load_page import Load
from ..tokenize.door.admission_queue import Overloaded, QueueLimits, check_wait
from ..tokenize.door.lane_queue import LaneQueue, QueuedRequest
from .served_rate import ServedRate


class WaitingRequests:
    """A queue for each lane. One thread puts requests in, those of the lanes take them.

    Args:
        limits: The most that may wait in each lane.
        threads: How many threads take requests of each lane.
        clock: Returns the seconds of a clock that never goes back.
    """

    def __init__(
        self, limits: QueueLimits, threads: Mapping[str, int], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._queues = {lane: LaneQueue() for lane in LANES}
        self._rates = {lane: ServedRate(threads[lane]) for lane in LANES}
        self._free = dict.fromkeys(LANES, 0)
        """The threads that wait in `take`."""
        self._clock = clock
        self._changed = threading.Condition()
        self._closed = False

    def put(self, request: QueuedRequest) -> None:
        """Let a request wait.

        Raises:
            Overloaded: too much waits already, or for longer than a share of the request's timeout.
        """
        with self._changed:
            queue = self._queues[request.lane]
            if queue.requests and len(queue.requests) >= self._free[request.lane]:  # else it goes on, or is next
                rate = self._rates[request.lane].tokens_per_second
                check_wait(request, queue, Load(tokens=0, rate=rate, room=0), self._clock())
                self._check_size(request, queue)
            queue.push(request)
            self._changed.notify_all()  # a thread of the other lane may be the first that waits

    def take(self, lane: str) -> QueuedRequest | None:
        """Wait for a request of a lane, and return it; None once the queue is closed and has none."""
        with self._changed:
            queue = self._queues[lane]
            self._free[lane] += 1
            self._changed.wait_for(lambda: queue.requests or self._closed)
            self._free[lane] -= 1
            return queue.pop() if queue.requests else None

    def served(self, request: QueuedRequest, seconds: float) -> None:
        """Learn how long a thread took to have an answer for a request."""
        with self._changed:
            self._rates[request.lane].served(request.tokens, seconds)

    def load(self, lane: str) -> Load:
        """Return the tokens, as estimated, that wait in a lane, and how fast they are answered."""
        with self._changed:
            return Load(tokens=self._queues[lane].tokens, rate=self._rates[lane].tokens_per_second, room=0)

    def cancel(self, request_id: str) -> list[QueuedRequest]:
        """Take out the requests of an id, and return them."""
        with self._changed:
            queues = self._queues.values()
            return [each for queue in queues for each in queue.drop(lambda request: request.request_id == request_id)]

    def close(self) -> None:
        """Let `take` end once nothing waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _check_size(self, request: QueuedRequest, queue: LaneQueue) -> None:
        limits = self._limits
        for limit, most, waiting, more, unit in (
            ("max_queued_texts", limits.max_queued_texts, queue.texts, request.texts, "texts"),
            ("max_queued_bytes", limits.max_queued_bytes, queue.size, request.size, "bytes of text"),
        ):
            if waiting + more > most:
                raise Overloaded(
                    limit,
                    f"the {request.lane} queue of the cascade holds {waiting} {unit} and this request {more}; {limit} "
                    f"is {most}: try again later",
                )
