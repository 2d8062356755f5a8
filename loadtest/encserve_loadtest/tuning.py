"""Other server settings, tried one after another on servers of our own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from encserve._commands.access import Access
from encserve_loadtest.altered_repository import Settings, altered_repository, read_settings
from encserve_loadtest.bench import Bench, make_bench, open_client
from encserve_loadtest.by_rate import nearest_window
from encserve_loadtest.errors import PlanError
from encserve_loadtest.estimate.capacity import Capacity
from encserve_loadtest.estimate.search import find_capacity
from encserve_loadtest.findings import Findings
from encserve_loadtest.progress import Progress
from encserve_loadtest.quantities import percent, rounded
from encserve_loadtest.trials import Trial, Tuning

if TYPE_CHECKING:
    from encserve_server.launcher.server import TritonServer

MIN_GAIN = 0.05
"""Settings are kept when they bring at least so much; less is noise."""

MIN_USERS = 4
WARM_UP_S = 1.0

TRIALS_SHARE = 0.7
"""No trial begins after this share of the time limit; the rest is for the search with the best settings ..."""

MIN_SEARCH_S = 30.0
"""... which takes at least so long."""


def alternatives(settings: Settings) -> Iterator[dict[str, int]]:
    """Changes to try, one at a time, the most promising first."""
    yield {"encode_instances": settings.encode_instances + 1}
    yield {"tokenize_instances": settings.tokenize_instances + 1}
    if settings.token_budget is not None:
        yield {"token_budget": settings.token_budget * 2}
        yield {"token_budget": settings.token_budget // 2}
    yield {"max_batch_size": max(1, settings.max_batch_size // 4)}
    yield {"queue_delay_us": settings.queue_delay_us + 1_000}


async def tune(findings: Findings, progress: Progress) -> None:
    """Try settings one by one, keep each that helps, and search the capacity of the best.

    Raises:
        PlanError: the extra `server` is missing, or the repository has no such pipeline.
        EncserveError: a server did not start.
    """
    config = findings.config
    assert findings.workload is not None
    assert findings.capacity is not None
    now = read_settings(config.repository, config.model)
    users = _users_at_capacity(findings)
    baseline = await _try(findings, now, users)
    progress.note(f"{users} users     {rounded(baseline.throughput_per_s):>6}/s   as it is")
    tuning = findings.tuning = Tuning(users=users, baseline=baseline, best=baseline)
    for change in alternatives(now):
        named = ", ".join(f"{name} {value}" for name, value in change.items())
        if progress.elapsed_s > TRIALS_SHARE * config.time_limit_s:
            tuning.untried.append(change)
            progress.note(f"not tried, for want of time: {named}")
            continue
        trial = await _try(findings, replace(tuning.best.settings, **change), users)
        tuning.trials.append(trial)
        if trial.gain_over(tuning.best) >= MIN_GAIN:  # so far the best may have had a bad moment
            again = await _try(findings, tuning.best.settings, users)
            tuning.best = max(tuning.best, again, key=lambda each: each.throughput_per_s)
        gain = trial.gain_over(tuning.best)
        kept = gain >= MIN_GAIN
        verdict = f"kept, {percent(gain)} more" if kept else "no better"
        progress.note(f"{users} users     {rounded(trial.throughput_per_s):>6}/s   {named}: {verdict}")
        if kept:
            tuning.best = trial
    if tuning.changes:
        progress.stage("the capacity with the better settings")
        tuning.capacity = await _search(findings, tuning.best.settings, progress)


def _users_at_capacity(findings: Findings) -> int:
    """How many requests are in the server at its capacity: rate x mean latency (Little's law)."""
    assert findings.capacity is not None
    window = nearest_window(findings.windows, findings.capacity.rate_per_s)
    return max(MIN_USERS, round(findings.capacity.rate_per_s * window.mean_s))


async def _try(findings: Findings, settings: Settings, users: int) -> Trial:
    async with _bench_on(findings, settings) as bench:
        await bench.with_users(users, duration_s=WARM_UP_S)
        window = await bench.with_users(users, duration_s=bench.window_s)
    return Trial(settings=settings, throughput_per_s=window.achieved_per_s)


async def _search(findings: Findings, settings: Settings, progress: Progress) -> Capacity:
    assert findings.capacity is not None
    async with _bench_on(findings, settings) as bench:
        await bench.with_users(MIN_USERS, duration_s=WARM_UP_S)
        bench.on_window = progress.window
        left_s = max(MIN_SEARCH_S, findings.config.time_limit_s - progress.elapsed_s)
        return await find_capacity(bench, target_s=bench.target_p99_s, time_s=left_s, note=progress.note)


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
