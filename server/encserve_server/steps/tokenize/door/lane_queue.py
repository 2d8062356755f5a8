"""The requests that wait in one lane of the door."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TRANSIT_S = 0.02
"""Seconds that a request that went on may take until the encode step counts it."""


@dataclass(frozen=True, kw_only=True)
class QueuedRequest:
    """A request at the door, with what decides whether it may go on."""

    lane: str
    texts: int
    """The rows that the network will see of it: a text each, a pair, or a text with a label."""
    size: int
    """The bytes of its texts in UTF-8."""
    tokens: int
    """The number of its tokens, as `admission_queue.estimate_tokens` estimates it."""
    request_id: str
    """The id by which its caller may cancel it; empty where it has none."""
    timeout_s: float
    """Seconds that its caller waits; 0 for ever."""
    arrived_s: float
    work: Any

    def is_late(self, now_s: float) -> bool:
        """Return whether its caller has given up by `now_s`."""
        return 0 < self.timeout_s < now_s - self.arrived_s


@dataclass
class LaneQueue:
    """The requests that wait in a lane, in the order in which they came, and their sums."""

    requests: deque[QueuedRequest] = field(default_factory=deque)
    texts: int = 0
    size: int = 0
    tokens: int = 0
    gone_on: deque[tuple[float, int]] = field(default_factory=deque)  # (when, tokens) of the last TRANSIT_S

    def push(self, request: QueuedRequest) -> None:
        """Put a request at the end."""
        self.requests.append(request)
        self._count(request, 1)

    def pop(self) -> QueuedRequest:
        """Take out the first request, and return it."""
        request = self.requests.popleft()
        self._count(request, -1)
        return request

    def drop(self, unwanted: Callable[[QueuedRequest], bool]) -> list[QueuedRequest]:
        """Take out the requests that are `unwanted`, and return them."""
        dropped = [request for request in self.requests if unwanted(request)]
        if dropped:
            self.requests = deque(request for request in self.requests if not unwanted(request))
            for request in dropped:
                self._count(request, -1)
        return dropped

    def in_transit(self, now_s: float) -> int:
        """Return the tokens that went on so lately that the encode step may not count them yet."""
        while self.gone_on and self.gone_on[0][0] < now_s - TRANSIT_S:
            self.gone_on.popleft()
        return sum(tokens for _, tokens in self.gone_on)

    def _count(self, request: QueuedRequest, sign: int) -> None:
        self.texts += sign * request.texts
        self.size += sign * request.size
        self.tokens += sign * request.tokens
