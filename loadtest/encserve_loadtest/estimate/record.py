"""One run at a rate, as the estimator sees it: which requests were late, and in how many episodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encserve_loadtest.measurement.window import Window


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """An open loop at one rate. What was set aside is not in it."""

    rate_per_s: float
    """The rate that was asked for."""
    duration_s: float
    due_s: NDArray[np.float64]
    """When each request was due, seconds from the start of the run, in order, (n,)."""
    latency_s: NDArray[np.float64]
    """From then to its answer; infinity for one that failed, (n,)."""
    set_aside: NDArray[np.bool_]
    """Which requests came while the server stood still, or before it had recovered from that, (n,)."""
    finished_s: NDArray[np.float64]

    @classmethod
    def of(cls, window: Window) -> Record:
        """The record of a window."""
        run = window.run
        assert window.rate_per_s is not None
        return cls(
            rate_per_s=window.rate_per_s,
            duration_s=run.duration_s,
            due_s=run.scheduled_s,
            latency_s=run.latency_s,
            set_aside=np.zeros(len(run.scheduled_s), bool),
            finished_s=run.finished_s,
        )

    def count(self, *, target_s: float, from_s: float) -> Count:
        """Count what was late from a moment on.

        Args:
            target_s: the latency that a request should not exceed.
            from_s: seconds from the start of the run, the end of its warm-up.
        """
        kept = (self.due_s >= from_s) & ~self.set_aside
        requests, episodes = np.count_nonzero(kept), _episodes(self.latency_s[kept], target_s)
        return Count(rate_per_s=self.rate_per_s, requests=requests, episodes=episodes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Count:
    """How much was late in a run, after its warm-up."""

    rate_per_s: float
    """Requests that came, per second. Of two runs at one asked rate the one in which more came by chance has more that
    are late, and the slope is that of the rate itself: so the chance of the arrivals is taken out of the estimate. It
    is a control variate (Glasserman, Monte Carlo Methods in Financial Engineering, 2003, section 4.1)."""
    requests: int
    episodes: NDArray[np.float64]
    """Late requests of each episode, (episodes,)."""

    @property
    def late(self) -> float:
        """Requests that exceeded the target."""
        return float(self.episodes.sum())


def _episodes(latency_s: NDArray[np.float64], target_s: float) -> NDArray[np.float64]:
    """The late requests of each episode, which ends when a latency is back at the median of the run, (episodes,).

    Late requests come in clusters, since neighbours wait in one queue; only clusters are independent of each other. An
    episode that ends at the first request in time would be cut in pieces that are not.
    """
    late = latency_s > target_s
    if not late.any():
        return np.empty(0)
    calm = np.cumsum(latency_s <= min(float(np.median(latency_s)), target_s))
    _, sizes = np.unique(calm[late], return_counts=True)
    return np.asarray(sizes, np.float64)
