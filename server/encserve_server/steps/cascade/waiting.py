"""The requests that wait for a thread of their lane, each of which has one request under way at a time."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from ..instance.lanes import LANES
from ..tokenize.door.lane_queue import LaneQueue, QueuedRequest

LIMITS = ("max_queued_texts", "max_queued_bytes")
"""The names of the limits for which a request is refused."""


class QueueFull(Exception):
    """The request may not wait; the message names the limit and the value."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit
        """The name of the limit, for the counter."""


class WaitingRequests:
    """A queue for each lane. One thread puts requests in, those of the lanes take them.

    Args:
        limits: The most that may wait in each lane, by the names of `LIMITS`.
    """

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._queues = {lane: LaneQueue() for lane in LANES}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, request: QueuedRequest) -> None:
        """Let a request wait. Raises QueueFull."""
        with self._changed:
            queue = self._queues[request.lane]
            self._check("max_queued_texts", request.lane, queue.texts, request.texts, "texts")
            self._check("max_queued_bytes", request.lane, queue.size, request.size, "bytes of text")
            queue.push(request)
            self._changed.notify_all()  # a thread of the other lane may be the first that waits

    def take(self, lane: str) -> QueuedRequest | None:
        """Wait for a request of a lane, and return it; None once the queue is closed and has none."""
        with self._changed:
            queue = self._queues[lane]
            while not queue.requests and not self._closed:
                self._changed.wait()
            return queue.pop() if queue.requests else None

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

    def _check(self, limit: str, lane: str, waiting: int, more: int, unit: str) -> None:
        if waiting and waiting + more > self._limits[limit]:
            raise QueueFull(
                limit,
                f"the {lane} queue of the cascade holds {waiting} {unit} and this request {more}; {limit} is "
                f"{self._limits[limit]}: try again later",
            )
