"""What one run of the generator recorded, request by request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

UNANSWERED = "unanswered"
"""The kind of failure of a request that had no answer when the run was given up."""


class Loop(str, Enum):
    """Who decides when a request is sent."""

    OPEN = "open"
    """A schedule: requests come whether or not the server has answered the earlier ones, as from independent users."""
    CLOSED = "closed"
    """The server: each of a fixed number of users waits for an answer before asking again. A stall hides its queue."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """The requests of one run, in the order in which they were due. Times are seconds from the start of the run."""

    loop: Loop
    duration_s: float
    """How long requests were sent."""
    scheduled_s: NDArray[np.float64]
    """When each request was due, (n,). In a closed loop, when it was sent."""
    sent_s: NDArray[np.float64]
    """When it was handed to the SDK, (n,)."""
    finished_s: NDArray[np.float64]
    """When its answer was there, (n,); infinity for a request that failed."""
    tokens: NDArray[np.int64]
    """Tokens of its texts, as the server counted them, (n,); zero for a request that failed."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Type of error -> requests that ended with it."""
    client_cpu_s: float = 0.0
    """Processor time that the generator took, in seconds."""
    first_s: NDArray[np.float64] | None = None
    """When the first piece of each answer was there, (n,); infinity for a request that failed, and None where no answer
    came in pieces."""
    first_weight: float = 0.0
    """By what times to the first piece are multiplied to be held to the target of whole answers; 0 where they have no
    target of their own."""

    @property
    def latency_s(self) -> NDArray[np.float64]:
        """From the *scheduled* time to the answer, (n,); infinity for a request that failed. Where first pieces have a
        target, too, it is the longer of that and `first_weight` times the time to the first piece: so a request is late
        by it if it is late by either."""
        whole_s = self.whole_latency_s
        return np.maximum(whole_s, self.first_weight * self.first_latency_s) if self.first_weight else whole_s

    @property
    def first_latency_s(self) -> NDArray[np.float64]:
        """From the *scheduled* time to the first piece, (n,); infinity for a request that failed."""
        return (self.finished_s if self.first_s is None else self.first_s) - self.scheduled_s

    @property
    def whole_latency_s(self) -> NDArray[np.float64]:
        """From the *scheduled* time to the whole answer, (n,); infinity for a request that failed."""
        return self.finished_s - self.scheduled_s

    @property
    def lateness_s(self) -> NDArray[np.float64]:
        """How long after its scheduled time each request was sent, (n,)."""
        return self.sent_s - self.scheduled_s
