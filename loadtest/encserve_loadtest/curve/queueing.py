"""The latency-load curve: a queueing form with four parameters, fitted to the measured percentiles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SERVERS = (1, 2, 4, 8, 16, 32)
"""Numbers of servers that are tried. A dynamic batcher acts as many: it serves more at a time as its queue grows."""

SATURATIONS = np.linspace(0.85, 1.6, 40)
"""Saturation rates that are tried, as multiples of the throughput of a closed loop with many users. A batcher saturates
beyond that throughput, since its batches and with them its speed still grow with the queue ..."""

CLOSEST = 1.005
"""... and at least so many times the highest rate with a steady queue."""

MIN_POINTS = 4

DOUBT = 0.3
"""What a saturation far from that throughput costs, times the square of the logarithm of their ratio: where the points
leave it open, as they do far below it, the measured throughput is the better guess."""

SMALLEST_RATIO = 1e-6
REWEIGHTINGS = 4
"""So often the linear fit is repeated on its way to the least squares of the logarithms."""


@dataclass(frozen=True, kw_only=True)
class LatencyCurve:
    """The 99th percentile of the latency as a function of the rate.

    The mean wait in a queue with c servers, general arrivals and general service is about (Allen and Cunneen; Bolch et
    al., Queueing Networks and Markov Chains, 2nd edition 2006, section 6.3.4; with Sakasegawa's approximation of the
    probability of waiting, 1977)

        W = (ca^2 + cs^2) / 2 * s * rho ** (sqrt(2 (c + 1)) - 1) / (c (1 - rho)),    rho = rate / saturation.

    The wait of those who must wait is nearly exponential, so its percentiles are multiples of W. With the percentile of
    the service itself the latency is `idle + wait * rho ** (sqrt(2 (c + 1)) - 1) / (1 - rho)`. What cannot be seen from
    outside (ca, cs, s, the percentile's multiple) is in `wait`.
    """

    idle_s: float
    """The latency of a server without load."""
    wait_s: float
    """The scale of the wait."""
    saturation_per_s: float
    """The rate at which the queue would grow without end, in requests per second."""
    servers: int
    """c; what fits best, not what is configured."""
    worst_error: float
    """The largest relative error at the points of the fit."""

    def p99_s(self, rate_per_s: float) -> float:
        """The predicted 99th percentile at a rate; infinity from saturation on."""
        if rate_per_s >= self.saturation_per_s:
            return float("inf")
        rho = np.array([rate_per_s / self.saturation_per_s])
        return self.idle_s + self.wait_s * float(_load(rho, self.servers)[0])

    def knee_per_s(self) -> float:
        """The rate with the most throughput per latency: beyond it, latency is paid faster than rate is won.

        Kleinrock's "power" (Proc. ICC 1979), with the 99th percentile in place of the mean.
        """
        rates = np.linspace(0.01, 0.999, 500) * self.saturation_per_s
        power = [rate / self.p99_s(rate) for rate in rates]
        return float(rates[int(np.argmax(power))])


def fit_curve(
    rates_per_s: Sequence[float], p99s_s: Sequence[float], *, throughput_per_s: float, least_s: float = 0.0
) -> LatencyCurve | None:
    """Fit the curve by least squares of the logarithms. None for fewer than four points.

    A percentile that is twice too high counts as much as one of half; of relative errors the least squares would lean
    to curves that are too low. For each saturation and number of servers of a grid the two other parameters are linear,
    but for the weights of the points.

    Args:
        rates_per_s: measured rates, (points,).
        p99s_s: the 99th percentiles there, (points,).
        throughput_per_s: the most that the server answered in a closed loop: about where it is saturated.
        least_s: what the percentile is at least without load, such as the median of a user who is alone.
    """
    rates, p99s = np.array(rates_per_s), np.array(p99s_s)  # (points,)
    if len(rates) < MIN_POINTS:
        return None
    best: tuple[float, LatencyCurve] | None = None
    for saturation in np.unique(np.maximum(SATURATIONS * throughput_per_s, CLOSEST * rates.max())):
        for servers in SERVERS:
            load = _load(rates / saturation, servers)  # (points,)
            weights = np.ones(len(p99s))
            for _ in range(REWEIGHTINGS):
                above = weights * (1 - least_s / p99s)
                more, wait = _non_negative_fit(weights / p99s, weights * load / p99s, above)
                idle = least_s + more
                errors = (idle + wait * load) / p99s - 1  # (points,)
                logs = np.log(np.maximum(1 + errors, SMALLEST_RATIO))
                weights = np.where(np.abs(errors) > SMALLEST_RATIO, logs / errors, 1.0)
            loss = float(np.sum(logs**2) + DOUBT * np.log(saturation / throughput_per_s) ** 2)
            if best is None or loss < best[0]:
                curve = LatencyCurve(
                    idle_s=idle,
                    wait_s=wait,
                    saturation_per_s=float(saturation),
                    servers=servers,
                    worst_error=float(np.abs(errors).max()),
                )
                best = loss, curve
    assert best is not None
    return best[1]


def _load(rho: NDArray[np.float64], servers: int) -> NDArray[np.float64]:
    """The part of the wait that depends on the load, (n,)."""
    return np.asarray(rho ** (np.sqrt(2 * (servers + 1)) - 1) / (1 - rho))


def _non_negative_fit(
    x: NDArray[np.float64], y: NDArray[np.float64], wanted: NDArray[np.float64]
) -> tuple[float, float]:
    """The a, b >= 0 that bring a x + b y closest to what is wanted at all points."""
    (a, b), *_ = np.linalg.lstsq(np.stack([x, y], axis=1), wanted, rcond=None)
    if a < 0:
        return 0.0, float(y @ wanted / (y @ y))
    if b < 0:
        return float(x @ wanted / (x @ x)), 0.0
    return float(a), float(b)
