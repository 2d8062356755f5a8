"""The bench of a virtual server: the same measurements as on a real one, in milliseconds."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from encserve_loadtest.measurement.bench import grace_s
from encserve_loadtest.measurement.window import Window
from encserve_loadtest.traffic.arrivals import Process, poisson, schedule_s
from encserve_loadtest.traffic.run import UNANSWERED, Loop, Run
from encserve_loadtest.traffic.shapes import STEADY, Shape
from encserve_loadtest.virtual.pace import Times
from encserve_loadtest.virtual.servers import VirtualServer


@dataclass(kw_only=True)
class VirtualBench:
    """Measures a virtual server as `Bench` does a real one. Its clock stands still between the windows."""

    server: VirtualServer
    target_p99_s: float
    seed: int = 0
    process: Process = poisson
    on_window: Callable[[Window], None] = lambda window: None
    windows: list[Window] = field(default_factory=list)
    now_s: float = 0.0

    def elapsed_s(self) -> float:
        """Seconds that were measured so far."""
        return self.now_s

    async def at_rate(self, rate_per_s: float, *, duration_s: float, shape: Shape = STEADY) -> Window:
        """An open loop, from an empty server."""
        rng = self._rng()
        due_s = schedule_s(self.process, rate_per_s=rate_per_s, duration_s=duration_s, rng=rng, shape=shape)
        finished_s = self.server.answered_s(self.now_s + due_s, rng) - self.now_s
        run = _run(Loop.OPEN, duration_s, due_s, finished_s, until_s=duration_s + grace_s(self.target_p99_s))
        return self._keep(Window(run=run, rate_per_s=rate_per_s, target_p99_s=self.target_p99_s))

    async def with_users(self, users: int, *, duration_s: float) -> Window:
        """A closed loop."""
        sent_s, finished_s = self.server.waited_for_s(users, self.now_s, self.now_s + duration_s, self._rng())
        run = _run(Loop.CLOSED, duration_s, sent_s - self.now_s, finished_s - self.now_s, until_s=float("inf"))
        return self._keep(Window(run=run, users=users, target_p99_s=self.target_p99_s))

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng((self.seed, len(self.windows)))

    def _keep(self, window: Window) -> Window:
        run = window.run
        longest_s = run.duration_s + (grace_s(self.target_p99_s) if run.failures else 0.0)
        self.now_s += max(longest_s, float(run.finished_s.max(initial=0.0, where=np.isfinite(run.finished_s))))
        self.windows.append(window)
        self.on_window(window)
        return window


def _run(loop: Loop, duration_s: float, due_s: Times, finished_s: Times, *, until_s: float) -> Run:
    answered = finished_s <= until_s
    return Run(
        loop=loop,
        duration_s=duration_s,
        scheduled_s=due_s,
        sent_s=due_s,
        finished_s=np.where(answered, finished_s, np.inf),
        tokens=np.where(answered, 1, 0),
        failures={} if answered.all() else {UNANSWERED: int(np.count_nonzero(~answered))},
    )
