"""A simulation: how a fleet grows and shrinks over a day by one signal or another, on the measured curve of one
replica."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from encserve_loadtest.fleet.day import Day
from encserve_loadtest.fleet.sizing import SECONDS_PER_HOUR
from encserve_loadtest.fleet.waiting import WaitCurve

STEP_S = 5.0
SYNC_S = 15.0
"""The autoscaler looks so often, at the mean of so many seconds (the defaults of Kubernetes and of its metrics) ..."""
AVERAGED_S = 30.0
TOLERANCE = 0.1
"""... does nothing within this share of its target ..."""
STABLE_S = 300.0
"""... shrinks to the most that it wanted within so long, and grows by no more than twice the fleet or four replicas."""
LEAST_REPLICAS = 2
MOST_TIMES = 2
"""The fleet may be at most so many times what the busiest moment needs."""

CPU_TARGET = 0.7
TRITON_QUEUE_TARGET_S = 50e-6
"""The target of Triton's own chart for Kubernetes (`deploy/k8s-onprem`)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Replica:
    """What was measured of one replica."""

    holds_per_s: float
    """The lower end of its capacity."""
    saturation_per_s: float
    target_s: float
    """Its door refuses what would wait longer than this."""
    waiting: WaitCurve
    start_s: float
    """From the wish for a replica to its first answer."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The mean over the replicas that are ready."""

    busy_share: float
    wait_s: float
    """The work that waits, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What an autoscaler looks at."""

    name: str
    of: Callable[[Moment], float]
    target: float


def signals(added_at_s: float) -> tuple[Signal, ...]:
    """The three that are compared.

    Triton's queue time is here the whole wait, as Triton counts it before a model that computes in its `execute`. The
    steps of the Python engine answer later and keep their queue themselves: of them Triton counts about nothing, and a
    fleet that looks at it never grows.
    """
    return (
        Signal(name="processor time", of=lambda moment: moment.busy_share, target=CPU_TARGET),
        Signal(name="Triton's queue time", of=lambda moment: moment.wait_s, target=TRITON_QUEUE_TARGET_S),
        Signal(name="seconds of work waiting", of=lambda moment: moment.wait_s, target=added_at_s),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulatedDay:
    """A day of a fleet that looks at one signal. A simulation, no measurement."""

    signal: str
    time_s: NDArray[np.float64]
    """(steps,)"""
    ready: NDArray[np.float64]
    """Replicas that answer, (steps,)."""
    paid: NDArray[np.float64]
    """Those and the ones that start, (steps,)."""
    refused_per_s: NDArray[np.float64]
    """Requests that no replica could take, (steps,)."""
    refused_share: float
    beyond_share: float
    """Of the requests, those that came while each replica had more than it holds, or a queue was left."""

    @property
    def hours_by(self) -> NDArray[np.float64]:
        """Hours of replicas that were paid for by each moment, (steps,)."""
        return np.asarray(np.cumsum(self.paid) * STEP_S / SECONDS_PER_HOUR)

    @property
    def replica_hours(self) -> float:
        """Those of the day."""
        return float(self.hours_by[-1])


@dataclass(kw_only=True)
class Autoscaler:
    """The rule of Kubernetes' HorizontalPodAutoscaler: desired = ceil(ready x metric / target)."""

    target: float
    most: int
    _wanted: deque[tuple[float, int]] = field(default_factory=deque)

    def desired(self, metric: float, *, ready: int, asked: int, now_s: float) -> int:
        """How many replicas there shall be.

        Args:
            metric: its mean over the replicas that are ready.
            ready: how many are.
            asked: how many there shall be by now, with those that start.
            now_s: the time.
        """
        ratio = metric / self.target
        wish = asked if abs(ratio - 1) <= TOLERANCE else math.ceil(ready * min(ratio, 1e6))
        if ratio > 1:
            wish = max(wish, asked)
        wish = min(max(wish, LEAST_REPLICAS), self.most)
        self._wanted.append((now_s, wish))
        while self._wanted[0][0] < now_s - STABLE_S:
            self._wanted.popleft()
        if wish > asked:
            return min(wish, max(2 * asked, asked + 4))
        return min(asked, max(each for _, each in self._wanted))


def simulate(day: Day, replica: Replica, signal: Signal) -> SimulatedDay:
    """Run a fleet through a day.

    The queue is a fluid: what comes beyond saturation waits, what would wait longer than the target is refused. To it
    comes the wait that the curve has at the rate of one replica, since arrivals are random.
    """
    times_s = np.arange(day.time_s[0], day.time_s[-1], STEP_S)
    rates = day.rates_per_s(times_s)
    most = MOST_TIMES * (_needed(float(rates.max()), replica) + 1)
    scaler = Autoscaler(target=signal.target, most=most)
    ready = asked = max(LEAST_REPLICAS, _needed(float(rates[0]), replica) + 1)
    starting: deque[float] = deque()
    recent: deque[float] = deque(maxlen=round(AVERAGED_S / STEP_S))
    queue, beyond = 0.0, 0.0
    ready_at, paid, refused = np.empty((3, len(times_s)))
    for step, (now_s, rate) in enumerate(zip(times_s.tolist(), rates.tolist(), strict=True)):
        while starting and starting[0] <= now_s:
            starting.popleft()
            ready += 1
        ability = ready * replica.saturation_per_s * STEP_S
        answered = min(queue + rate * STEP_S, ability)
        queue += rate * STEP_S - answered
        room = ready * replica.saturation_per_s * replica.target_s
        refused[step], queue = max(queue - room, 0.0) / STEP_S, min(queue, room)
        each = rate / ready
        beyond += rate * STEP_S if each > replica.holds_per_s or queue > 0 else 0.0
        wait_s = replica.waiting.wait_s(min(each, replica.saturation_per_s)) + queue / ability * STEP_S
        recent.append(signal.of(Moment(busy_share=answered / ability, wait_s=wait_s)))
        ready_at[step], paid[step] = ready, asked
        if step % round(SYNC_S / STEP_S) == 0:
            wanted = scaler.desired(sum(recent) / len(recent), ready=ready, asked=asked, now_s=now_s)
            starting.extend([now_s + replica.start_s] * max(0, wanted - asked))
            for _ in range(max(0, asked - wanted)):
                if starting:
                    starting.pop()
                else:
                    ready -= 1
            asked = wanted
    came = float(rates.sum()) * STEP_S
    return SimulatedDay(
        signal=signal.name,
        time_s=times_s,
        ready=ready_at,
        paid=paid,
        refused_per_s=refused,
        refused_share=float(refused.sum()) * STEP_S / came,
        beyond_share=beyond / came,
    )


def _needed(rate_per_s: float, replica: Replica) -> int:
    return math.ceil(rate_per_s / replica.holds_per_s)
