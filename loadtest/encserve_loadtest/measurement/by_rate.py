"""The windows of a plan, by the rate at which they were measured."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from encserve_loadtest.measurement.window import Window, percentile_s
from encserve_loadtest.traffic.run import Loop


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
