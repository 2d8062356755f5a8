"""From windows to the capacity of one replica, with its interval."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from encserve_loadtest.run import Loop
from encserve_loadtest.window import Window, percentile_s

REPLICATES = 400
CONFIDENCE = 0.95
BLOCKS = 12
"""Neighbours share a queue, so the bootstrap draws blocks of consecutive requests; a window has so many."""

CEILING = 10.0
"""For interpolation a percentile counts as at most so many times the target: beyond, it is just far too slow."""

Latencies: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The rate at which the 99th percentile of the latency reaches the target, in requests per second."""

    rate_per_s: float
    low_per_s: float
    """Lower end of the 95 % interval."""
    high_per_s: float
    """Upper end of it."""


def by_rate(windows: Iterable[Window]) -> dict[float, list[Window]]:
    """The valid windows of open loops, by the rate that was asked for, in the order of the rates."""
    groups: dict[float, list[Window]] = defaultdict(list)
    for window in windows:
        if window.run.loop is Loop.OPEN and window.is_valid and window.rate_per_s:
            groups[window.rate_per_s].append(window)
    return dict(sorted(groups.items()))


def nearest_window(windows: Sequence[Window], rate_per_s: float) -> Window:
    """The valid window of an open loop whose rate is closest to `rate_per_s`."""
    groups = by_rate(windows)
    closest = min(groups, key=lambda rate: abs(rate - rate_per_s))
    return groups[closest][-1]


def pooled_p99_s(windows: Sequence[Window]) -> float:
    """The 99th percentile over all requests of some windows."""
    return percentile_s(np.concatenate([window.latency_s for window in windows]), 99)


def estimate_capacity(windows: Iterable[Window], *, target_p99_s: float, seed: int = 0) -> Capacity:
    """Where the percentiles by rate cross the target, with a bootstrap over windows and blocks (Kuensch, 1989).

    Args:
        windows: of open loops at several rates, at least one of which holds.
        target_p99_s: the latency that 99 % of the requests should not exceed.
        seed: of the bootstrap.
    """
    groups = {rate: [_latency_s(window) for window in each] for rate, each in by_rate(windows).items()}
    rng = np.random.default_rng(seed)
    replicates = [
        _crossing({rate: _redrawn(each, rng) for rate, each in groups.items()}, target_p99_s) for _ in range(REPLICATES)
    ]
    margin = (1 - CONFIDENCE) / 2
    rate = _crossing(groups, target_p99_s)
    low, high = np.quantile(replicates, [margin, 1 - margin])
    return Capacity(rate_per_s=rate, low_per_s=min(float(low), rate), high_per_s=max(float(high), rate))


def _latency_s(window: Window) -> Latencies:
    """The latencies of a window; all without end where the queue grew, since a longer window would have shown them."""
    return window.latency_s if window.is_stable else np.full_like(window.latency_s, np.inf)


def _crossing(groups: Mapping[float, Sequence[Latencies]], target_s: float) -> float:
    """The rate at which the percentile, made monotone, reaches the target; linear in its logarithm between rates."""
    rates = np.array(list(groups))
    pooled = [np.concatenate(each) for each in groups.values()]
    p99s = np.array([percentile_s(latency_s, 99) for latency_s in pooled])
    height = _monotone(
        np.log(np.minimum(p99s / target_s, CEILING)), np.array([len(each) for each in pooled], np.float64)
    )
    above = np.flatnonzero(height > 0)
    if len(above) == 0:
        return float(rates[-1])
    upper = int(above[0])
    if upper == 0:
        return float(rates[0])
    lower = upper - 1
    share = -height[lower] / (height[upper] - height[lower])
    return float(rates[lower] + share * (rates[upper] - rates[lower]))


def _monotone(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The closest sequence that never falls: pool adjacent violators (Ayer et al., 1955)."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (left, left_weight, left_count), (right, right_weight, right_count) = blocks[-2:]
            weight = left_weight + right_weight
            mean = (left * left_weight + right * right_weight) / weight
            blocks[-2:] = [(mean, weight, left_count + right_count)]
    return np.concatenate([np.full(count, mean) for mean, _, count in blocks])


def _redrawn(windows: Sequence[Latencies], rng: np.random.Generator) -> list[Latencies]:
    """As many windows, drawn with replacement, each of blocks of neighbours that are drawn so too."""
    return [_redrawn_blocks(windows[index], rng) for index in rng.integers(0, len(windows), len(windows))]


def _redrawn_blocks(latency_s: Latencies, rng: np.random.Generator) -> Latencies:
    size = max(1, len(latency_s) // BLOCKS)
    starts = rng.integers(0, max(1, len(latency_s) - size + 1), -(-len(latency_s) // size))
    rows = (starts[:, None] + np.arange(size)).ravel()[: len(latency_s)]  # (n,)
    redrawn: Latencies = latency_s[rows]
    return redrawn
