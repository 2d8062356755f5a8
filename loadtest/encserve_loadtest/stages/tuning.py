"""Other server settings, each in turns with the best that is known, on servers of our own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from encserve._commands.access import Access
from encserve_loadtest.errors import PlanError
from encserve_loadtest.estimate.search import find_capacity
from encserve_loadtest.findings import Findings
from encserve_loadtest.measurement.bench import Bench, make_bench, open_client
from encserve_loadtest.measurement.progress import Progress
from encserve_loadtest.quantities import percent
from encserve_loadtest.tune.altered_repository import Settings, altered_repository, read_settings
from encserve_loadtest.tune.paired import PAIRS, Comparison, compare, settle
from encserve_loadtest.tune.trials import Trial, Tuning

if TYPE_CHECKING:
    from encserve_server.launcher.server import TritonServer

WARM_UP_USERS = 4
WARM_UP_S = 1.0
LEAST_RUN_S, LONGEST_RUN_S = 2.0, 10.0
"""How long each run of a pair is: as the time allows, between these."""
START_S = 20.0
"""A server takes about so long to start."""
SEARCH_SHARE = 0.3
"""This share of the time is for the search with the best settings ..."""
MIN_SEARCH_S = 30.0
"""... which takes at least so long."""


def alternatives(settings: Settings) -> Iterator[dict[str, int]]:
    """Changes to try, one at a time, the most promising first."""
    if settings.token_budget is not None:  # C++ engines have none, and are refused with several instances
        yield {"encode_instances": settings.encode_instances + 1}
    yield {"tokenize_instances": settings.tokenize_instances + 1}
    if settings.token_budget is not None:
        yield {"token_budget": settings.token_budget * 2}
        yield {"token_budget": settings.token_budget // 2}
    yield {"max_batch_size": max(1, settings.max_batch_size // 4)}
    yield {"queue_delay_us": settings.queue_delay_us + 1_000}


async def tune(findings: Findings, progress: Progress) -> None:
    """Try settings one by one, keep each that is better than noise, and search the capacity of the best.

    Raises:
        PlanError: the extra `server` is missing, or the repository has no such pipeline.
        EncserveError: a server did not start.
    """
    config, capacity = findings.config, findings.capacity
    assert capacity is not None
    assert findings.experiment is not None
    began_s, slope = progress.elapsed_s, findings.experiment.crossing().slope
    now = read_settings(config.repository, config.model)
    tuning = findings.tuning = Tuning(rate_per_s=capacity.rate_per_s, baseline=now, best=now)
    changes = list(alternatives(now))
    async with AsyncExitStack() as servers:
        best = await servers.enter_async_context(_bench_on(findings, now))
        for index, change in enumerate(changes):
            named = ", ".join(f"{name} {value}" for name, value in change.items())
            left_s = (1 - SEARCH_SHARE) * config.time_limit_s - (progress.elapsed_s - began_s)
            run_s = run_length_s(left_s, changes_left=len(changes) - index)
            if run_s is None:
                tuning.untried.append(change)
                progress.note(f"not tried, for want of time: {named}")
                continue
            settings = replace(tuning.best, **change)
            stack = AsyncExitStack()
            other = await stack.enter_async_context(_bench_on(findings, settings))
            try:
                comparison = await _compare(findings, best, other, slope=slope, run_s=run_s)
            except BaseException:
                await stack.aclose()
                raise
            tuning.trials.append(Trial(settings=settings, comparison=comparison))
            progress.note(f"{named}: {describe(comparison)}")
            if comparison.is_better:
                await servers.aclose()
                best, tuning.best = other, settings
                rate_per_s = tuning.rate_per_s * (1 + comparison.gain)
                tuning.rate_per_s = await settle(best, rate_per_s=rate_per_s, slope=slope, run_s=run_s)
                servers.push_async_exit(stack.__aexit__)
            else:
                await stack.aclose()
        if tuning.changes:
            progress.stage("the capacity with the better settings")
            left_s = max(MIN_SEARCH_S, config.time_limit_s - (progress.elapsed_s - began_s))
            best.on_window = progress.window
            tuning.capacity = await find_capacity(best, target_s=best.target_p99_s, time_s=left_s, note=progress.note)


def run_length_s(left_s: float, *, changes_left: int) -> float | None:
    """How long each run may take so that all changes that are left get their turn; None where it would be too short."""
    length_s = min((left_s / changes_left - START_S) / (2 * PAIRS), LONGEST_RUN_S)
    if length_s >= LEAST_RUN_S:
        return length_s
    return LEAST_RUN_S if left_s >= START_S + 2 * PAIRS * LEAST_RUN_S else None


def describe(comparison: Comparison) -> str:
    """What a comparison says."""
    low, high = (percent(each) for each in comparison.interval)
    verdict = "kept" if comparison.is_better else "no better than noise"
    return f"{verdict}, {percent(comparison.gain)} more at the percentile, between {low} and {high}"


async def _compare(findings: Findings, best: Bench, other: Bench, *, slope: float, run_s: float) -> Comparison:
    assert findings.tuning is not None
    for bench in (best, other):
        bench.windows.clear()  # equally many windows: the same arrivals
        await bench.with_users(WARM_UP_USERS, duration_s=WARM_UP_S)
    return await compare(best, other, rate_per_s=findings.tuning.rate_per_s, slope=slope, run_s=run_s)


@asynccontextmanager
async def _bench_on(findings: Findings, settings: Settings) -> AsyncIterator[Bench]:
    """A bench on a server of our own, with these settings."""
    config = findings.config
    assert findings.workload is not None
    with altered_repository(config.repository, config.model, settings) as copy, _serve(copy) as server:
        async with open_client(config, server.grpc_url, Access()) as client:
            yield make_bench(config, findings.workload, client)


def _serve(repository: Path) -> "TritonServer":
    try:
        from encserve_server.config import ServeConfig
        from encserve_server.launcher.ports import free_ports
        from encserve_server.launcher.server import TritonServer
    except ModuleNotFoundError as error:
        raise PlanError(f"--tune needs {error.name}: pip install '.[server]' in a clone of encserve") from error
    http_port, grpc_port, metrics_port = free_ports(3)
    config = ServeConfig(repository=repository, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port)
    return TritonServer(config, report=lambda line: None)
