"""The plan, from an address to replicas and a price: reads from top to bottom."""

import asyncio
from dataclasses import replace

from encserve import Client
from encserve._commands.access import Access
from encserve_loadtest.bench import SEND_ONCE, Bench, make_bench, open_client
from encserve_loadtest.bottleneck import Bottleneck, find_bottleneck
from encserve_loadtest.by_rate import by_rate, nearest_window, pooled_p99_s
from encserve_loadtest.config import SEARCH_SHARE, PlanConfig
from encserve_loadtest.errors import GeneratorTooSlow, TargetImpossible
from encserve_loadtest.estimate.capacity import Capacity, Confidence
from encserve_loadtest.estimate.search import at_least, find_capacity
from encserve_loadtest.findings import Findings, Prediction
from encserve_loadtest.fleet.day import Day
from encserve_loadtest.fleet.scaling import Replica, signals, simulate
from encserve_loadtest.fleet.sizing import price, size_fleet
from encserve_loadtest.fleet.waiting import wait_curve
from encserve_loadtest.host.noise import judge_noise
from encserve_loadtest.host.watch import HostWatch
from encserve_loadtest.progress import Progress
from encserve_loadtest.quantities import milliseconds
from encserve_loadtest.queueing import fit_curve
from encserve_loadtest.served import served_steps
from encserve_loadtest.shapes import SHAPES
from encserve_loadtest.window import Window
from encserve_loadtest.workload import Workload, prepare_workload

CURVE_SHARES = (0.4, 0.6, 0.8)
"""Shares of the capacity that are measured for the curve, beside the long runs of the search."""

CURVE_TIME_SHARE = 0.14
"""The windows of the curve and of its test take at most this share of the time limit."""

FITTED_LIMIT = 5.0
"""The curve is fitted to percentiles up to so many times the target: beyond, a window is too short for its queue."""

PREDICTED_SHARES = (0.2, 0.7)
"""Shares of the capacity whose percentile is predicted, then measured: below all that the curve was fitted to, and
between ..."""

PREDICTED_WINDOWS = 2
"""... in so many windows."""

QUIET_S = 1.0
"""So long nothing is sent before and after the search, to see what others use of this machine."""

SHAPED_WINDOWS = 4
"""A run along a shape lasts so many windows."""


async def plan(findings: Findings, progress: Progress, access: Access) -> None:
    """Fill in the findings. They know nothing of the access, since a report is made of all they know.

    Raises:
        EncserveError: the server is not there, the model is not ready, an option is malformed, the target is
            impossible, or the generator is too slow. What was measured before is in the findings.
    """
    config = findings.config
    progress.stage(f"asking {config.url} for {config.model!r}")
    findings.workload = prepare(config, access)
    findings.steps = served_steps(config.url, config.model, access)
    watch = HostWatch()
    idle_share = await others_share(watch)
    async with open_client(config, config.url, access) as client:
        bench = make_bench(config, findings.workload, client)
        bench.windows, bench.on_window = findings.windows, progress.window
        bench.steps, bench.metrics_url, bench.watch = findings.steps, config.metrics_endpoint, watch
        target = milliseconds(config.target_p99_s)
        progress.stage(
            f"closed loop: throughput by concurrency; then open loop: the rate that keeps p99 under {target}"
        )
        await search(findings, bench, progress)
        heed_noise(findings, max(idle_share, await others_share(watch)))
        windows = len(CURVE_SHARES) + len(PREDICTED_SHARES) * PREDICTED_WINDOWS
        bench.longest_s = CURVE_TIME_SHARE * config.time_limit_s / windows
        progress.stage("open loop: the latency-load curve")
        await draw_curve(findings, bench)
        progress.stage("open loop: two rates that the curve has not seen")
        await check_predictions(findings, bench)
        if config.shape is not None:
            progress.stage(f"open loop: the shape {config.shape!r} with the capacity as its peak")
            await follow_shape(findings, bench, config.shape)
    judge(findings)
    if findings.day is not None:
        progress.stage("a simulation of the day")
        simulate_day(findings, findings.day)
    if config.tune:
        from encserve_loadtest.tune.tuning import tune  # needs the extra `server`

        progress.stage("other settings, on servers of our own")
        await tune(findings, progress)


def prepare(config: PlanConfig, access: Access) -> Workload:
    """Ask the server what it serves, and make the requests."""
    with Client(
        config.url,
        retry=SEND_ONCE,
        tls=access.tls,
        api_key=access.api_key,
        admin_secret=access.admin_secret,
    ) as client:
        return prepare_workload(
            client,
            model=config.model,
            corpus=config.corpus,
            keep_texts=config.keep_texts,
            texts_per_request=config.texts_per_request,
            seed=config.seed,
        )


async def search(findings: Findings, bench: Bench, progress: Progress) -> None:
    """Find the capacity. If the generator is too slow it is at least the highest rate that held."""
    try:
        findings.capacity = await find_capacity(
            bench,
            target_s=bench.target_p99_s,
            time_s=SEARCH_SHARE * findings.config.time_limit_s,
            note=progress.note,
            begin=lambda experiment: setattr(findings, "experiment", experiment),
        )
    except TargetImpossible:
        findings.bottleneck = find_bottleneck(bench.windows[-1])
        raise
    except GeneratorTooSlow:
        findings.bottleneck = Bottleneck(limit="client", reason="the load generator fell behind its own schedule")
        findings.capacity = at_least(bench.windows)
        raise
    if findings.config.quick:
        findings.capacity = promising_nothing(findings.capacity, "the search was short (--quick)")


async def others_share(watch: HostWatch) -> float:
    """The share of the processor time that is used while nothing is sent."""
    before = watch.read()
    await asyncio.sleep(QUIET_S)
    return watch.busy_share(before, watch.read())


def heed_noise(findings: Findings, others_share: float) -> None:
    """Mark, widen or refuse the capacity by how unquiet this machine was in the long runs of the search."""
    assert findings.experiment is not None
    assert findings.capacity is not None
    rates = {record.rate_per_s for record in findings.experiment.runs}
    states = [window.host for window in findings.windows if window.host is not None and window.rate_per_s in rates]
    here = findings.config.server_is_here
    findings.noise = judge_noise(states, others_share=others_share, server_here=here)
    findings.capacity = findings.noise.applied(findings.capacity)
    if findings.noise.is_refused:
        findings.problem = f"this host is too busy to measure on: {'; '.join(findings.noise.reasons)}"


def keep_what_is_known(findings: Findings) -> None:
    """Give a plan that was stopped the range that its runs leave open, where there are some."""
    experiment = findings.experiment
    if findings.capacity is None and experiment is not None and experiment.runs:
        findings.capacity = promising_nothing(experiment.capacity(), "the search was stopped")


def promising_nothing(capacity: Capacity, reason: str) -> Capacity:
    """The capacity as a range, with one reason more."""
    return replace(capacity, confidence=Confidence.RANGE, reasons=(reason, *capacity.reasons))


async def draw_curve(findings: Findings, bench: Bench) -> None:
    """Measure some lower rates as well, and fit the curve to these and the long runs of the search."""
    assert findings.capacity is not None
    assert findings.experiment is not None
    long = {record.rate_per_s for record in findings.experiment.runs}
    for share in CURVE_SHARES:
        rate_per_s = share * findings.capacity.rate_per_s
        long.add(rate_per_s)
        await bench.at_rate(rate_per_s)
    points = {
        rate: pooled_p99_s(windows)
        for rate, windows in by_rate(bench.windows).items()
        if rate in long and all(window.is_stable for window in windows)
    }
    points = {rate: p99_s for rate, p99_s in points.items() if p99_s <= FITTED_LIMIT * bench.target_p99_s}
    saturation = findings.experiment.saturation
    least_s = min([saturation.alone_s, *points.values()])
    findings.curve = fit_curve(list(points), list(points.values()), throughput_per_s=saturation.per_s, least_s=least_s)
    findings.fitted_per_s = tuple(points)
    lasting = [window for window in bench.windows if window.rate_per_s in long]
    findings.waiting = wait_curve(lasting, alone_s=saturation.alone_s)
    if findings.waiting is not None:
        findings.added_at_s = findings.waiting.added_at_s(findings.capacity.low_per_s)


async def check_predictions(findings: Findings, bench: Bench) -> None:
    """Predict the percentile at two other rates, then measure them."""
    assert findings.capacity is not None
    if findings.curve is None:
        return
    for share in PREDICTED_SHARES:
        rate_per_s = share * findings.capacity.rate_per_s
        predicted_s = findings.curve.p99_s(rate_per_s)
        windows = await valid_windows(bench, rate_per_s, count=PREDICTED_WINDOWS)
        if windows:
            measured_s = pooled_p99_s(windows)
            inside = min(findings.fitted_per_s) <= rate_per_s <= max(findings.fitted_per_s)
            findings.predictions.append(
                Prediction(rate_per_s=rate_per_s, predicted_s=predicted_s, measured_s=measured_s, inside=inside)
            )


async def valid_windows(bench: Bench, rate_per_s: float, *, count: int) -> list[Window]:
    """Measure a rate until `count` windows are valid, but not more than twice as often."""
    windows: list[Window] = []
    for _ in range(2 * count):
        window = await bench.at_rate(rate_per_s)
        if window.is_valid:
            windows.append(window)
        if len(windows) == count:
            break
    return windows


async def follow_shape(findings: Findings, bench: Bench, shape: str) -> None:
    """Run along a shape."""
    assert findings.capacity is not None
    duration_s = SHAPED_WINDOWS * bench.window_s
    findings.shaped = await bench.at_rate(findings.capacity.rate_per_s, shape=SHAPES[shape], duration_s=duration_s)


def simulate_day(findings: Findings, day: Day) -> None:
    """Let a fleet of what was measured go through a day, by one signal after another."""
    assert findings.capacity is not None
    assert findings.experiment is not None
    if findings.waiting is None or not findings.added_at_s:
        return
    replica = Replica(
        holds_per_s=findings.capacity.low_per_s,
        saturation_per_s=findings.experiment.saturation.per_s,
        target_s=findings.config.target_p99_s,
        waiting=findings.waiting,
        start_s=findings.config.start_s,
    )
    findings.simulated = [simulate(day, replica, signal) for signal in signals(findings.added_at_s)]


def judge(findings: Findings) -> None:
    """Say what limits the server, how many replicas are needed, and what they cost."""
    config, capacity = findings.config, findings.capacity
    assert capacity is not None
    findings.bottleneck = find_bottleneck(nearest_window(findings.windows, capacity.rate_per_s))
    if config.rate_per_s is None:
        return
    findings.sizing = size_fleet(config.rate_per_s, capacity)
    if config.replica_cost_per_hour is not None:
        findings.cost = price(
            findings.sizing,
            replica_cost_per_hour=config.replica_cost_per_hour,
            texts_per_request=config.texts_per_request,
            tokens_per_request=findings.tokens_per_request,
        )
