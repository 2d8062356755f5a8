"""The requests that wait in one lane of the door."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TRANSIT_S = 0.02
"""How long a request that went on may take until the encode step counts it."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A request at the door."""

    lane: str
    texts: int
    size: int
    """Bytes of its texts in UTF-8."""
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
class LaneQueue:
    """What waits in a lane, in the order in which it came, and how much that is."""

    jobs: deque[Job] = field(default_factory=deque)
    texts: int = 0
    size: int = 0
    tokens: int = 0
    gone_on: deque[tuple[float, int]] = field(default_factory=deque)  # (when, tokens) of the last TRANSIT_S

    def push(self, job: Job) -> None:
        """Put a request at the end."""
        self.jobs.append(job)
        self._count(job, 1)

    def pop(self) -> Job:
        """Take the first request."""
        job = self.jobs.popleft()
        self._count(job, -1)
        return job

    def drop(self, unwanted: Callable[[Job], bool]) -> list[Job]:
        """Take out those requests."""
        dropped = [job for job in self.jobs if unwanted(job)]
        if dropped:
            self.jobs = deque(job for job in self.jobs if not unwanted(job))
            for job in dropped:
                self._count(job, -1)
        return dropped

    def in_transit(self, now_s: float) -> int:
        """Tokens that went on so lately that the encode step may not count them yet."""
        while self.gone_on and self.gone_on[0][0] < now_s - TRANSIT_S:
            self.gone_on.popleft()
        return sum(tokens for _, tokens in self.gone_on)

    def _count(self, job: Job, sign: int) -> None:
        self.texts += sign * job.texts
        self.size += sign * job.size
        self.tokens += sign * job.tokens
