"""What every door counts: the requests that it refused, that came too late, and that were given up."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from ...instance.lanes import LANES
from ...instance.metrics import Metrics


class EntryCounts:
    """What is counted of those whom a door does not let in.

    Args:
        metrics: Of the instance.
        limits: The names of what a request may be refused by.
    """

    def __init__(self, metrics: Metrics, limits: Iterable[str]) -> None:
        self.refused = metrics.counter(
            "encserve_refused_requests", "Requests that were refused because too much waits already"
        )
        self.messages = metrics.counter(
            "encserve_cancel_messages", "Requests that say of others that they are given up"
        )
        self.messages.expect()
        for lane, limit in product(LANES, limits):
            self.refused.expect(lane=lane, limit=limit)


class DoorCounts(EntryCounts):
    """The counters of a door behind which requests wait until they are computed at once. The arguments are those of
    `EntryCounts`."""

    def __init__(self, metrics: Metrics, limits: Iterable[str]) -> None:
        super().__init__(metrics, limits)
        self.late = metrics.counter(
            "encserve_late_requests", "Requests whose timeout passed while they waited, and that were not computed"
        )
        self.cancelled = metrics.counter(
            "encserve_cancelled_requests", "Requests whose callers gave them up while they waited"
        )
        for counter, lane in product((self.late, self.cancelled), LANES):
            counter.expect(lane=lane)
