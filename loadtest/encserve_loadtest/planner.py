"""The plan, from an address to replicas and a price: reads from top to bottom."""

from encserve import Client
from encserve._commands.access import Access
from encserve_loadtest.bench import SEND_ONCE, Bench, make_bench, open_client
from encserve_loadtest.bottleneck import Bottleneck, find_bottleneck
from encserve_loadtest.capacity import by_rate, estimate_capacity, nearest_window, pooled_p99_s
from encserve_loadtest.config import PlanConfig
from encserve_loadtest.errors import GeneratorTooSlow, PlanError, TargetImpossible
from encserve_loadtest.findings import Findings, Prediction
from encserve_loadtest.progress import Progress
from encserve_loadtest.quantities import milliseconds
from encserve_loadtest.queueing import fit_curve
from encserve_loadtest.search import find_capacity
from encserve_loadtest.served import served_steps
from encserve_loadtest.shapes import SHAPES
from encserve_loadtest.sizing import price, size_fleet
from encserve_loadtest.window import Window
from encserve_loadtest.workload import Workload, prepare_workload

USERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Concurrencies of the closed loop, until the throughput no longer grows."""

MIN_SATURATING_USERS = 8
"""So many users at least: throughput can dip before batches form."""

CLOSED_WINDOW_SHARE = 0.5
WORTHWHILE_GAIN = 1.05
FIRST_RATE_SHARE = 0.6
"""The search begins at this share of the closed loop's best throughput."""

CURVE_SHARES = (0.25, 0.5, 0.75)
"""Shares of the capacity that are measured for the curve, beside what the search has measured."""

FITTED_LIMIT = 5.0
"""The curve is fitted to percentiles up to so many times the target: beyond, a window is too short for its queue."""

PREDICTED_SHARES = (0.4, 0.85)
"""Shares of the capacity whose percentile is predicted, then measured ..."""

PREDICTED_WINDOWS = 2
"""... in so many windows."""

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
    async with open_client(config, config.url, access) as client:
        bench = make_bench(config, findings.workload, client)
        bench.windows, bench.on_window = findings.windows, progress.window
        bench.steps, bench.metrics_url = findings.steps, config.metrics_endpoint
        progress.stage("closed loop: throughput by concurrency")
        saturation_per_s = await saturate(bench)
        progress.stage(f"open loop: the highest rate that keeps p99 under {milliseconds(config.target_p99_s)}")
        await search(findings, bench, first_per_s=FIRST_RATE_SHARE * saturation_per_s)
        progress.stage("open loop: the latency-load curve")
        await draw_curve(findings, bench, throughput_per_s=saturation_per_s)
        progress.stage("open loop: two rates that the curve has not seen")
        await check_predictions(findings, bench)
        if config.shape is not None:
            progress.stage(f"open loop: the shape {config.shape!r} with the capacity as its peak")
            await follow_shape(findings, bench, config.shape)
    judge(findings)
    if config.tune:
        from encserve_loadtest.tuning import tune  # needs the extra `server`

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


async def saturate(bench: Bench) -> float:
    """Let more and more users wait for answers. Returns the best throughput, in requests per second."""
    duration_s = CLOSED_WINDOW_SHARE * bench.window_s
    best_per_s = 0.0
    for users in USERS:
        window = await bench.with_users(users, duration_s=duration_s)
        if window.achieved_per_s == 0 and window.run.failures:
            raise PlanError(f"every request failed: {window.failure_summary}")
        if users >= MIN_SATURATING_USERS and window.achieved_per_s < WORTHWHILE_GAIN * best_per_s:
            return max(best_per_s, window.achieved_per_s)
        best_per_s = max(best_per_s, window.achieved_per_s)
    return best_per_s


async def search(findings: Findings, bench: Bench, *, first_per_s: float) -> None:
    """Find the capacity. If the generator is too slow it is at least the highest rate that held."""
    try:
        await find_capacity(bench.at_rate, first_per_s=first_per_s)
    except TargetImpossible:
        findings.bottleneck = find_bottleneck(bench.windows[-1])
        raise
    except GeneratorTooSlow:
        findings.bottleneck = Bottleneck(limit="client", reason="the load generator fell behind its own schedule")
        if any(window.holds and window.is_valid and window.rate_per_s for window in bench.windows):
            findings.capacity = estimate_capacity(bench.windows, target_p99_s=bench.target_p99_s)
        raise
    findings.capacity = estimate_capacity(bench.windows, target_p99_s=bench.target_p99_s, seed=findings.config.seed)


async def draw_curve(findings: Findings, bench: Bench, *, throughput_per_s: float) -> None:
    """Measure some lower rates as well, and fit the curve."""
    assert findings.capacity is not None
    for share in CURVE_SHARES:
        await bench.at_rate(share * findings.capacity.rate_per_s)
    points = {
        rate: pooled_p99_s(windows)
        for rate, windows in by_rate(bench.windows).items()
        if all(window.is_stable for window in windows)
    }
    points = {rate: p99_s for rate, p99_s in points.items() if p99_s <= FITTED_LIMIT * bench.target_p99_s}
    alone_s = [window.percentile_s(50) for window in bench.windows if window.users == 1]
    least_s = min([*alone_s, *points.values()], default=0.0)
    findings.curve = fit_curve(list(points), list(points.values()), throughput_per_s=throughput_per_s, least_s=least_s)
    findings.fitted_per_s = tuple(points)


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
            prediction = Prediction(rate_per_s=rate_per_s, predicted_s=predicted_s, measured_s=measured_s)
            findings.predictions.append(prediction)


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
