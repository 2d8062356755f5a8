"""From the capacity of one replica to a number of replicas and a price."""

import math
from dataclasses import dataclass

from encserve_loadtest.estimate.capacity import Capacity

MILLION = 1e6
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """How many replicas hold a rate, when a balancer spreads the requests evenly over them.

    Requests that are spread at random leave each replica with Poisson arrivals again, which is what was measured.
    """

    rate_per_s: float
    """Requests per second of all users."""
    needed: int
    """Replicas without which the target would be missed, counted with the lower end of the capacity's interval."""
    replicas: int
    """One more, N + 1: so many hold the target while one is down or restarts."""
    headroom: float
    """Share of the capacity that is free while all replicas are up."""
    headroom_degraded: float
    """The same while one is down."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What texts cost, at the asked rate and with all N + 1 replicas paid for."""

    replica_cost_per_hour: float
    per_million_texts: float
    per_million_tokens: float


def size_fleet(rate_per_s: float, capacity: Capacity) -> Sizing:
    """Size a fleet for a rate in requests per second."""
    needed = max(1, math.ceil(rate_per_s / capacity.low_per_s))
    return Sizing(
        rate_per_s=rate_per_s,
        needed=needed,
        replicas=needed + 1,
        headroom=1 - rate_per_s / ((needed + 1) * capacity.rate_per_s),
        headroom_degraded=1 - rate_per_s / (needed * capacity.rate_per_s),
    )


def price(sizing: Sizing, *, replica_cost_per_hour: float, texts_per_request: int, tokens_per_request: float) -> Cost:
    """The price of texts and tokens, in the currency of `replica_cost_per_hour`."""
    per_request = sizing.replicas * replica_cost_per_hour / (sizing.rate_per_s * SECONDS_PER_HOUR)
    return Cost(
        replica_cost_per_hour=replica_cost_per_hour,
        per_million_texts=per_request / texts_per_request * MILLION,
        per_million_tokens=per_request / tokens_per_request * MILLION,
    )
