"""The capacity of one replica, with its interval and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Confidence(str, Enum):
    """What the ends of an interval are."""

    INTERVAL = "95 % interval"
    """Between them the capacity is in 95 of 100 plans."""
    RANGE = "range"
    """What the runs leave open, without a promise; the reasons say why."""
    AT_LEAST = "at least"
    """Only the lower end was measured."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The highest rate whose percentile of the latency is within the target in the long run, in requests per second."""

    rate_per_s: float
    low_per_s: float
    """Lower end of the interval; fleets are sized by it."""
    high_per_s: float
    """Upper end of it."""
    confidence: Confidence = Confidence.INTERVAL
    reasons: tuple[str, ...] = ()
    """Why it is a range, and what else a reader must know of it."""
    needed_s: float | None = None
    """How long the search would have to take for an interval; None where time is not what is missing."""
