"""The exact waiting time of an M/D/c queue, to hold the planner against."""

import math
from functools import lru_cache

import numpy as np


def mdc_wait_cdf(wait_s: float, *, rate_per_s: float, service_s: float, servers: int) -> float:
    """P(wait <= wait_s) in steady state, first come first served.

    Franx, "A simple solution for the M/D/c waiting time distribution", Operations Research Letters 29 (2001).
    """
    queue = np.cumsum(_queue_lengths(rate_per_s * service_s, servers))  # P(queue <= j)
    k = math.floor(wait_s / service_s) + 1
    load = max(rate_per_s * (k * service_s - wait_s), 1e-12)  # of a whole number of services rounding may leave none
    j = np.arange(k * servers)
    terms = np.exp(-load + j * math.log(load) - np.array([math.lgamma(i + 1) for i in j]))
    return float(np.sum(queue[k * servers - 1 - j] * terms))


def mdc_percentile_s(percentile: float, *, rate_per_s: float, service_s: float, servers: int) -> float:
    """A percentile of wait and service together."""
    low, high = 0.0, 60 * service_s
    for _ in range(40):
        middle = (low + high) / 2
        cdf = mdc_wait_cdf(middle, rate_per_s=rate_per_s, service_s=service_s, servers=servers)
        low, high = (middle, high) if cdf < percentile / 100 else (low, middle)
    return service_s + low


def mdc_capacity_per_s(target_p99_s: float, *, service_s: float, servers: int) -> float:
    """The rate at which the 99th percentile reaches the target."""
    low, high = 0.01 * servers / service_s, 0.9 * servers / service_s
    for _ in range(20):
        middle = (low + high) / 2
        p99_s = mdc_percentile_s(99, rate_per_s=middle, service_s=service_s, servers=servers)
        low, high = (middle, high) if p99_s < target_p99_s else (low, middle)
    return low


@lru_cache
def _queue_lengths(offered: float, servers: int, size: int = 300) -> np.ndarray:
    """P(j wait), j = 0 ... size - 1. Every service time the number in the system becomes max(n - c, 0) + Poisson."""
    steps = np.arange(size)
    arrivals = np.exp(-offered + steps * math.log(offered) - np.array([math.lgamma(i + 1) for i in steps]))
    system = np.zeros(size)
    system[0] = 1.0
    for _ in range(2_000):
        left = np.concatenate([[system[: servers + 1].sum()], system[servers + 1 :], np.zeros(servers)])
        new = np.convolve(left, arrivals[:60])[:size]
        if np.abs(new - system).max() < 1e-13:
            break
        system = new
    return np.concatenate([[system[: servers + 1].sum()], system[servers + 1 :], np.zeros(servers)])
