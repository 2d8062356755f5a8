"""Servers in virtual time whose capacity can be computed, and their capacity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from encserve_loadtest.virtual.pace import Pace, pace_of, standing_still, two_speeds
from encserve_loadtest.virtual.servers import (
    Batcher,
    Draw,
    Line,
    VirtualServer,
    by_length,
    constant_service,
    exponential_service,
)

SERVICE_S = 0.01
ALLOWED = 0.01
BISECTIONS = 13
LEAST_LOAD = 0.01
"""A server that misses its target at this share of saturation misses it at every rate."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A server whose capacity can be computed."""

    make: Callable[[np.random.Generator, float], VirtualServer]
    """(draws its disturbances, how long it is watched) -> the server."""
    saturation_per_s: float
    requests: int = 4_000_000
    """How many are simulated for the truth, at each rate."""
    lasting: str = ""
    """The server that it is in the long run; empty for itself."""


SERVERS = {
    "M/D/1": Known(make=lambda rng, horizon_s: Line(draw=constant_service(SERVICE_S)), saturation_per_s=100),
    "M/M/1": Known(make=lambda rng, horizon_s: Line(draw=exponential_service(SERVICE_S)), saturation_per_s=100),
    "M/D/4": Known(make=lambda rng, horizon_s: Line(draw=constant_service(SERVICE_S), places=4), saturation_per_s=400),
    "batches of up to 32": Known(
        make=lambda rng, horizon_s: Batcher(fixed_s=0.008, draw=by_length(0.002, spread=0.6), most=32),
        saturation_per_s=32 / (0.008 + 32 * 0.002),
        requests=1_000_000,
    ),
    "two speeds": Known(
        make=lambda rng, horizon_s: Line(
            draw=constant_service(SERVICE_S), pace=two_speeds(0.7, mean_s=2.0, horizon_s=2 * horizon_s, rng=rng)
        ),
        saturation_per_s=85,
    ),
    "stands still for 2 s once": Known(
        make=lambda rng, horizon_s: Line(
            draw=constant_service(SERVICE_S), pace=standing_still(rng.uniform(0.0, horizon_s), 2.0)
        ),
        saturation_per_s=100,
        lasting="M/D/1",
    ),
    "one text in ten is five times as long": Known(
        make=lambda rng, horizon_s: Line(draw=two_lengths(SERVICE_S, long=5.0, share=0.1)), saturation_per_s=100
    ),
    "M/D/16": Known(
        make=lambda rng, horizon_s: Line(draw=constant_service(SERVICE_S), places=16), saturation_per_s=1600
    ),
    "batches of up to 8": Known(
        make=lambda rng, horizon_s: Batcher(fixed_s=0.006, draw=by_length(0.004, spread=1.0), most=8),
        saturation_per_s=8 / (0.006 + 8 * 0.004),
        requests=1_000_000,
    ),
    "lengths of all kinds": Known(
        make=lambda rng, horizon_s: Line(draw=by_length(SERVICE_S, spread=1.0)), saturation_per_s=100
    ),
    "batches of up to 16": Known(
        make=lambda rng, horizon_s: Batcher(fixed_s=0.009, draw=by_length(0.001, spread=0.8), most=16),
        saturation_per_s=16 / (0.009 + 16 * 0.001),
        requests=1_000_000,
    ),
    "pauses of 50 ms": Known(
        make=lambda rng, horizon_s: Line(
            draw=constant_service(SERVICE_S), pace=pausing(0.05, mean_s=1.0, horizon_s=horizon_s, rng=rng)
        ),
        saturation_per_s=100 / 1.05,
        requests=1_000_000,
    ),
}
"""The last three played no part when the estimate was made."""


def two_lengths(mean_s: float, *, long: float, share: float) -> Draw:
    """Work of a mean, where a share of the requests takes `long` times as long as the others."""
    short_s = mean_s / (1 - share + share * long)
    return lambda rng, count: np.where(rng.random(count) < share, long * short_s, short_s)


def pausing(pause_s: float, *, mean_s: float, horizon_s: float, rng: np.random.Generator) -> Pace:
    """A server that does nothing for `pause_s`, again and again, after random times of mean `mean_s`."""
    count = int(1.2 * horizon_s / mean_s) + 50
    lengths_s = np.column_stack([rng.exponential(mean_s, count), np.full(count, pause_s)]).ravel()
    return pace_of(lengths_s, np.tile([1.0, 0.0], count))


def truth_per_s(name: str, target_s: float) -> float:
    """The highest rate whose 99th percentile is within the target in the long run; 0 where there is none."""
    if name == "M/M/1":
        return max(0.0, 1 / SERVICE_S - math.log(1 / ALLOWED) / target_s)
    return simulated_truth_per_s(SERVERS[SERVERS[name].lasting or name], target_s)


def simulated_truth_per_s(known: Known, target_s: float) -> float:
    """The same, by simulating the server at a dozen rates."""
    gaps = np.random.default_rng(1).exponential(1.0, known.requests)

    def late_share(rate_per_s: float) -> float:
        come_s = np.cumsum(gaps) / rate_per_s
        server = known.make(np.random.default_rng(2), float(come_s[-1]))
        return float(np.mean(server.answered_s(come_s, np.random.default_rng(3)) - come_s > target_s))

    low, high = LEAST_LOAD * known.saturation_per_s, known.saturation_per_s
    if late_share(low) > ALLOWED:
        return 0.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if late_share(middle) <= ALLOWED else (low, middle)
    return low
