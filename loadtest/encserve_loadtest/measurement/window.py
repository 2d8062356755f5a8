"""One measured window: a run at one rate or concurrency, what the server said of it, and whether it counts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from encserve_loadtest.measurement.host_watch import HostState
from encserve_loadtest.measurement.triton_metrics import StepTimes
from encserve_loadtest.traffic.run import Loop, Run

SETTLE_SHARE = 0.15
"""The first part of a window is sent and not counted: the queue must first reach its usual length."""

LATENESS_LIMIT_S = 0.005
LATENESS_LIMIT_SHARE = 0.2
"""The generator is on time while the 99th percentile of its lateness is below the first, or a share of the target."""

PARTS = 20
"""The median latencies of so many parts of a window show whether its queue grows ..."""
SIGNIFICANT = 3.5
"""... which it does when their slope is so many times its standard error ..."""
SERVICE_TIMES = 5.0
"""... and the rise in the whole window is so many times as long as the fastest requests take."""

PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """A run, cut to the part that counts."""

    run: Run
    rate_per_s: float | None = None
    """The rate that was asked for, of an open loop without a shape."""
    users: int | None = None
    """Concurrency of a closed loop."""
    target_p99_s: float
    """The latency that 99 % of the requests should not exceed."""
    steps: Mapping[str, StepTimes] = field(default_factory=dict)
    """Step of the pipeline -> what Triton's metrics say of it during the run; empty where they could not be read."""
    host: HostState | None = None
    """The machine of the generator during the run; None where nobody watched it."""

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which requests count, (n,)."""
        return self.run.scheduled_s >= SETTLE_SHARE * self.run.duration_s

    @property
    def latency_s(self) -> NDArray[np.float64]:
        """Latencies of the requests that count, in the order in which they were due, (n,)."""
        return self.run.latency_s[self.counted]

    @property
    def offered_per_s(self) -> float:
        """Requests that were due, per second."""
        return float(np.count_nonzero(self.counted) / ((1 - SETTLE_SHARE) * self.run.duration_s))

    @property
    def achieved_per_s(self) -> float:
        """Requests that were answered, per second."""
        begin_s, end_s = SETTLE_SHARE * self.run.duration_s, self.run.duration_s
        answered = np.count_nonzero((self.run.finished_s >= begin_s) & (self.run.finished_s < end_s))
        return float(answered / (end_s - begin_s))

    @property
    def tokens_per_request(self) -> float:
        """Mean tokens of an answered request."""
        answered = self.run.tokens[np.isfinite(self.run.finished_s)]
        return float(answered.mean()) if len(answered) else float("nan")

    @property
    def mean_s(self) -> float:
        """Mean latency of the answered requests."""
        latency_s = self.latency_s[np.isfinite(self.latency_s)]
        return float(latency_s.mean()) if len(latency_s) else float("inf")

    def percentile_s(self, percentile: float) -> float:
        """A percentile of the latency; infinity where more requests than that failed."""
        return percentile_s(self.latency_s, percentile)

    @property
    def p99_s(self) -> float:
        """The 99th percentile of the latency."""
        return self.percentile_s(99)

    def first_s(self, percentile: float) -> float:
        """A percentile of the time to the first piece of an answer; infinity where more requests than that failed."""
        return percentile_s(self.run.first_latency_s[self.counted], percentile)

    def whole_s(self, percentile: float) -> float:
        """A percentile of the time to the whole answer, whatever target first pieces have; likewise."""
        return percentile_s(self.run.whole_latency_s[self.counted], percentile)

    @property
    def p99_since_sent_s(self) -> float:
        """The 99th percentile of the time since requests were sent; the generator's lateness adds nothing to it."""
        return percentile_s((self.run.finished_s - self.run.sent_s)[self.counted], 99)

    @property
    def lateness_p99_s(self) -> float:
        """The 99th percentile of how late the generator sent."""
        return percentile_s(self.run.lateness_s, 99) if len(self.run.lateness_s) else 0.0

    @property
    def lateness_worst_s(self) -> float:
        """The latest that the generator sent a request."""
        return float(self.run.lateness_s.max(initial=0.0))

    @property
    def failure_summary(self) -> str:
        """What went wrong, and how often: "12 Unavailable, 3 unanswered"; empty where nothing did."""
        return ", ".join(f"{count} {kind}" for kind, count in self.run.failures.items())

    @property
    def is_valid(self) -> bool:
        """Whether the generator kept to its schedule. A closed loop has none."""
        limit_s = max(LATENESS_LIMIT_S, LATENESS_LIMIT_SHARE * self.target_p99_s)
        return self.run.loop is Loop.CLOSED or self.lateness_p99_s <= limit_s

    @property
    def client_cpu_share(self) -> float:
        """Processor time of the generator per second of the run; its one thread has 1."""
        return self.run.client_cpu_s / self.run.duration_s

    @property
    def growth(self) -> float:
        """Seconds by which the latency grows per second of the run; 0 where too few requests came to tell."""
        return self._trend[0]

    @property
    def is_stable(self) -> bool:
        """Whether the queue has a steady length, as far as the window can tell.

        The slope is that of least squares through the medians of the parts. Neighbours share a queue, so its standard
        error is that of a first-order autoregression (Fishman, Discrete-Event Simulation, 2001, section 6.6).
        """
        slope, error = self._trend
        rise_s = slope * (1 - SETTLE_SHARE) * self.run.duration_s
        fastest_s = float(self.run.latency_s.min(initial=np.inf))  # the first of them came to an empty server
        return slope <= SIGNIFICANT * error or rise_s <= SERVICE_TIMES * fastest_s

    @property
    def _trend(self) -> tuple[float, float]:
        """The slope of the latency over the run, and its standard error; an infinite slope where most requests
        failed."""
        latency_s, due_s = self.latency_s, self.run.scheduled_s[self.counted]
        if len(due_s) < 5 * PARTS:
            return 0.0, float("inf")
        parts = np.array_split(np.arange(len(due_s)), PARTS)
        medians = np.array([np.median(latency_s[part]) for part in parts])  # (parts,)
        times = np.array([np.median(due_s[part]) for part in parts])
        if not np.isfinite(medians).all():
            return (0.0, float("inf")) if np.isinf(medians).all() else (float("inf"), 0.0)
        slope, base = np.polyfit(times, medians, 1)
        rest = medians - (slope * times + base)
        power = float(rest @ rest)
        again = min(max(float(rest[1:] @ rest[:-1]) / power if power > 0 else 0.0, 0.0), 0.9)
        error = np.sqrt(power / (PARTS - 2) / np.sum((times - times.mean()) ** 2) * (1 + again) / (1 - again))
        return float(slope), float(error)

    @property
    def holds(self) -> bool:
        """Whether the target holds, with a steady queue."""
        return self.p99_s <= self.target_p99_s and self.is_stable


def repeated_share(windows: Iterable[Window]) -> float:
    """Share of the texts of some windows that the server did not compute, since it remembered them."""
    steps = [step for window in windows for step in window.steps.values()]
    texts = sum(step.texts for step in steps)
    return sum(step.repeated_texts for step in steps) / texts if texts else 0.0


def percentile_s(latency_s: NDArray[np.float64], percentile: float) -> float:
    """The smallest latency that `percentile` % of the requests do not exceed; infinity where there are none."""
    return float(np.percentile(latency_s, percentile, method="higher")) if len(latency_s) else float("inf")
