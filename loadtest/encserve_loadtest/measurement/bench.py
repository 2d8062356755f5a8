"""The measuring bench: runs windows against one server and keeps all of them."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from encserve import AsyncClient, Retry
from encserve._commands.access import Access
from encserve_loadtest.config import PlanConfig
from encserve_loadtest.measurement.host_watch import HostWatch
from encserve_loadtest.measurement.served import ServedStep
from encserve_loadtest.measurement.triton_metrics import Counters, StepTimes, read_counters, times_between
from encserve_loadtest.measurement.window import SETTLE_SHARE, Window
from encserve_loadtest.traffic.arrivals import Process, poisson, process_of, schedule_s
from encserve_loadtest.traffic.generator import Send, closed_loop, open_loop
from encserve_loadtest.traffic.run import Run
from encserve_loadtest.traffic.shapes import STEADY, Shape
from encserve_loadtest.traffic.workload import Workload

MIN_REQUESTS = 150
"""A window at a low rate is made longer until it has about so many requests to take a percentile of ..."""

MAX_STRETCH = 3
"""... but not longer than so many windows."""

MIN_GRACE_S = 0.5


def grace_s(target_s: float) -> float:
    """How long to wait for the last answers: what is later than three times the target is late by every measure."""
    return max(3 * target_s, MIN_GRACE_S)


SEND_ONCE = Retry(attempts=1)
"""A request that is sent again would hide an overload."""

ALL_AT_ONCE = 100_000
"""Requests in flight, more than any rate needs: what waits is to wait in the server, whose queue is measured."""


def open_client(config: PlanConfig, url: str, access: Access) -> AsyncClient:
    """A client that sends every request once."""
    return AsyncClient(
        url,
        timeout_s=config.timeout_s,
        retry=SEND_ONCE,
        concurrency=ALL_AT_ONCE,
        texts_per_request=config.texts_per_request,
        tls=access.tls,
        api_key=access.api_key,
        admin_secret=access.admin_secret,
    )


def make_bench(config: PlanConfig, workload: Workload, client: AsyncClient) -> "Bench":
    """A bench for one plan."""
    return Bench(
        send=workload.sender(client, timeout_s=config.timeout_s),
        target_p99_s=config.target_p99_s,
        first_weight=config.first_weight,
        window_s=config.window_s,
        process=process_of(config.arrivals),
        seed=config.seed,
    )


@dataclass(kw_only=True)
class Bench:
    """Measures one server at given rates, and keeps every window in `windows`, in the order of measurement."""

    send: Send
    target_p99_s: float
    first_weight: float = 0.0
    """By what times to first pieces are multiplied to be held to the same target; see `Run`."""
    window_s: float
    longest_s: float = float("inf")
    """A window whose length nobody asked for is not longer, so that a slow server does not make a plan long."""
    process: Process = poisson
    seed: int = 0
    steps: Sequence[ServedStep] = ()
    metrics_url: str | None = None
    """Triton's metrics endpoint; without it the windows know nothing of the steps."""
    watch: HostWatch | None = None
    """Watches the machine of the generator; without it the windows know nothing of it."""
    on_window: Callable[[Window], None] = lambda window: None
    windows: list[Window] = field(default_factory=list)

    async def at_rate(self, rate_per_s: float, *, shape: Shape = STEADY, duration_s: float | None = None) -> Window:
        """Measure an open loop; `rate_per_s` is the peak of the shape. Each window has arrivals of its own."""
        if duration_s is None:
            enough_s = MIN_REQUESTS / ((1 - SETTLE_SHARE) * rate_per_s)
            duration_s = min(max(self.window_s, enough_s), MAX_STRETCH * self.window_s, self.longest_s)
        rng = np.random.default_rng((self.seed, len(self.windows)))
        due_s = schedule_s(self.process, rate_per_s=rate_per_s, duration_s=duration_s, rng=rng, shape=shape)
        running = open_loop(self.send, due_s, duration_s=duration_s, grace_s=grace_s(self.target_p99_s))
        return await self._measure(running, rate_per_s=rate_per_s if shape is STEADY else None)

    async def with_users(self, users: int, *, duration_s: float) -> Window:
        """Measure a closed loop."""
        return await self._measure(closed_loop(self.send, users=users, duration_s=duration_s), users=users)

    async def _measure(
        self, running: Coroutine[Any, Any, Run], *, rate_per_s: float | None = None, users: int | None = None
    ) -> Window:
        before, began_s = await self._scrape(), time.monotonic()
        watching = self.watch.begin() if self.watch is not None else None
        try:
            run = replace(await running, first_weight=self.first_weight)
        finally:
            host = watching.end() if watching is not None else None
        after, elapsed_s = await self._scrape(), time.monotonic() - began_s
        steps: dict[str, StepTimes] = {}
        if before is not None and after is not None:
            steps = times_between(before, after, self.steps, elapsed_s=elapsed_s)
        window = Window(
            run=run, rate_per_s=rate_per_s, users=users, target_p99_s=self.target_p99_s, steps=steps, host=host
        )
        self.windows.append(window)
        self.on_window(window)
        return window

    async def _scrape(self) -> Counters | None:
        if self.metrics_url is None:
            return None
        try:
            return await asyncio.to_thread(read_counters, self.metrics_url)
        except OSError:
            return None  # a window without the server's own times is still a window
