"""From the capacity of one replica to a number of replicas and a price."""

import math
from dataclasses import dataclass

from encserve_loadtest.estimate.capacity import Capacity

MILLION = 1e6
SECONDS_PER_HOUR = 3600.0

ZONES = 3
"""Zones over which the replicas are spread evenly."""


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """How many replicas hold a rate, when a balancer spreads the requests evenly over them.

    Requests that are spread at random leave each replica with Poisson arrivals again, which is what was measured.
    """

    rate_per_s: float
    """Requests per second of all users."""
    needed: int
    """Replicas without which the target would be missed, counted with the lower end of the capacity's interval."""
    needed_at_best: int
    """The same with its upper end."""
    replicas: int
    """One more, N + 1: so many hold the target while one is down or restarts."""
    headroom: float
    """Share of the capacity, by its lower end, that is free while all replicas are up."""
    headroom_degraded: float
    """The same while one is down."""

    @property
    def zone_loss(self) -> float:
        """The share of the N + 1 replicas that the loss of one of `ZONES` zones takes, at worst."""
        return math.ceil(self.replicas / ZONES) / self.replicas

    @property
    def holds_without_a_zone(self) -> bool:
        """Whether what is left then holds the rate."""
        return self.replicas - math.ceil(self.replicas / ZONES) >= self.needed

    @property
    def replicas_for_a_zone(self) -> int:
        """The fewest replicas of which enough are left without a zone."""
        replicas = self.needed
        while replicas - math.ceil(replicas / ZONES) < self.needed:
            replicas += 1
        return replicas


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What texts cost, at the asked rate and with all N + 1 replicas paid for."""

    replica_cost_per_hour: float
    per_million_texts: float
    """With the fleet that the lower end of the capacity asks for."""
    per_million_texts_at_best: float
    """With the one that its upper end would ask for."""
    per_million_tokens: float
    per_million_tokens_at_best: float


def size_fleet(rate_per_s: float, capacity: Capacity) -> Sizing:
    """Size a fleet for a rate in requests per second."""
    needed = max(1, math.ceil(rate_per_s / capacity.low_per_s))
    return Sizing(
        rate_per_s=rate_per_s,
        needed=needed,
        needed_at_best=max(1, math.ceil(rate_per_s / capacity.high_per_s)),
        replicas=needed + 1,
        headroom=1 - rate_per_s / ((needed + 1) * capacity.low_per_s),
        headroom_degraded=1 - rate_per_s / (needed * capacity.low_per_s),
    )


def price(sizing: Sizing, *, replica_cost_per_hour: float, texts_per_request: int, tokens_per_request: float) -> Cost:
    """The price of texts and tokens, in the currency of `replica_cost_per_hour`."""

    def per_request(replicas: int) -> float:
        return replicas * replica_cost_per_hour / (sizing.rate_per_s * SECONDS_PER_HOUR)

    paid, at_best = per_request(sizing.replicas), per_request(sizing.needed_at_best + 1)
    return Cost(
        replica_cost_per_hour=replica_cost_per_hour,
        per_million_texts=paid / texts_per_request * MILLION,
        per_million_texts_at_best=at_best / texts_per_request * MILLION,
        per_million_tokens=paid / tokens_per_request * MILLION,
        per_million_tokens_at_best=at_best / tokens_per_request * MILLION,
    )
