"""The plan, from an address to replicas and a price: reads from top to bottom."""

import asyncio
from dataclasses import replace

from encserve import Client, PipelineInfo
from encserve._commands.access import Access
from encserve_loadtest.config import SEARCH_SHARE, PlanConfig
from encserve_loadtest.errors import GeneratorTooSlow, InvalidPlan, TargetImpossible
from encserve_loadtest.estimate.capacity import Capacity, Confidence
from encserve_loadtest.estimate.noise import judge_noise
from encserve_loadtest.estimate.search import at_least, find_capacity
from encserve_loadtest.findings import Findings
from encserve_loadtest.fleet.day import Day
from encserve_loadtest.fleet.repeats import count_repeats
from encserve_loadtest.fleet.scaling import Replica, signals, simulate
from encserve_loadtest.fleet.sizing import price, size_fleet
from encserve_loadtest.measurement.bench import SEND_ONCE, Bench, make_bench, open_client
from encserve_loadtest.measurement.bottleneck import Bottleneck, find_bottleneck
from encserve_loadtest.measurement.by_rate import nearest_window
from encserve_loadtest.measurement.host_watch import HostWatch
from encserve_loadtest.measurement.progress import Progress
from encserve_loadtest.measurement.served import served_steps
from encserve_loadtest.quantities import milliseconds
from encserve_loadtest.stages.curve import check_predictions, draw_curve
from encserve_loadtest.traffic.shapes import SHAPES
from encserve_loadtest.traffic.tasks import task_of
from encserve_loadtest.traffic.workload import Workload, prepare_workload

QUIET_S = 1.0
"""So long nothing is sent before and after the search, to see what others use of this machine."""

LEAST_REPLICAS = 2
"""Replicas for which repeats are counted where no rate tells how many there are: the fewest that could share."""

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
    refuse_to_tune(config, findings.workload.pipeline)
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
        from encserve_loadtest.stages.tuning import tune  # needs the extra `server`

        progress.stage("other settings, on servers of our own")
        await tune(findings, progress)


def refuse_to_tune(config: PlanConfig, pipeline: PipelineInfo) -> None:
    """Raise InvalidPlan where --tune has no settings to try, before anything is measured."""
    if config.tune and pipeline.cascade is not None:
        small, large = pipeline.cascade.small, pipeline.cascade.large
        raise InvalidPlan(
            f"{pipeline.name!r} is a cascade, which has no steps of its own to tune: tune {small!r} and {large!r}"
        )
    if config.tune and task_of(pipeline.task, model=pipeline.name).makes_texts:
        raise InvalidPlan(f"{pipeline.name!r} generates, and --tune has no settings for that")


def prepare(config: PlanConfig, access: Access) -> Workload:
    """Ask the server what it serves, and make the requests."""
    with Client(
        config.url,
        retry=SEND_ONCE,
        tls=access.tls,
        api_key=access.api_key,
        admin_secret=access.admin_secret,
    ) as client:
        return prepare_workload(client, model=config.model, mix=config.mix)


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
    if config.rate_per_s is not None:
        findings.sizing = size_fleet(config.rate_per_s, capacity)
    if findings.trace is not None:
        findings.repeats = count_repeats(
            findings.trace.source,
            findings.trace.texts,
            findings.trace.sizes,
            replicas=findings.sizing.replicas if findings.sizing else LEAST_REPLICAS,
            texts_per_request=config.texts_per_request,
        )
    if findings.sizing is None:
        return
    if config.replica_cost_per_hour is not None:
        findings.cost = price(
            findings.sizing,
            replica_cost_per_hour=config.replica_cost_per_hour,
            texts_per_request=config.texts_per_request,
            tokens_per_request=findings.tokens_per_request,
        )
