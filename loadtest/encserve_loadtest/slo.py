"""Targets in a file, checked against a running server: for pipelines that must not get slower."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encserve._commands.access import Access
from encserve._transport.addresses import DEFAULT_URL
from encserve_loadtest.config import PlanConfig
from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.measurement.bench import make_bench, open_client
from encserve_loadtest.measurement.served import served_steps
from encserve_loadtest.measurement.window import PERCENTILES, Window, repeated_share
from encserve_loadtest.planner import prepare
from encserve_loadtest.quantities import milliseconds, parse_duration_s, percent, rounded
from encserve_loadtest.report.summary import remembered
from encserve_loadtest.traffic.corpus import DEFAULT as DEFAULT_CORPUS

PERCENTILE_KEYS = {f"p{percentile}": percentile for percentile in PERCENTILES}
OTHER_KEYS = ("model", "url", "metrics_url", "rate", "duration", "corpus", "texts_per_request", "failures")
DEFAULT_DURATION = "10s"
ATTEMPTS = 2
"""A run whose generator fell behind is repeated once."""


@dataclass(frozen=True, kw_only=True)
class Slo:
    """What one pipeline must keep at one rate."""

    model: str
    url: str
    metrics_url: str | None
    """Triton's metrics endpoint; None is port 8002 of the server's host."""
    rate_per_s: float
    """Requests per second, as Poisson arrivals."""
    limits_s: Mapping[float, float]
    """Percentile -> latency, in seconds."""
    failure_limit: float
    """The share of the requests that may fail."""
    duration_s: float
    corpus: str
    texts_per_request: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One target, held or missed."""

    held: bool
    line: str


def read_slos(path: Path, *, url: str = DEFAULT_URL) -> list[Slo]:
    """Read a file such as

        targets:
          - {model: minilm, rate: 40, p99: 100ms, failures: 0.001}

    Optional are `url` (default: the argument), `metrics_url`, `duration`, `corpus`, `texts_per_request`, `failures`
    (default 0) and further percentiles.

    Raises:
        InvalidPlan: the file cannot be read, is no YAML, or a target is malformed; the message names the target.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidPlan(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidPlan(f"{path} is no YAML: {error}") from error
    unknown = [key for key in content if key != "targets"] if isinstance(content, dict) else []
    if unknown:
        raise InvalidPlan(f"{path} has the unknown key {unknown[0]!r}; known: targets")
    targets = content.get("targets") if isinstance(content, dict) else None
    if not isinstance(targets, list) or not targets:
        raise InvalidPlan(f"{path} has no list of targets under the key `targets`")
    return [_read_slo(target, f"{path} target {number}", url) for number, target in enumerate(targets, start=1)]


def _read_slo(target: Any, where: str, url: str) -> Slo:
    if not isinstance(target, dict):
        raise InvalidPlan(f"{where} is {target!r}, expected keys and values")
    unknown = [key for key in target if key not in PERCENTILE_KEYS and key not in OTHER_KEYS]
    if unknown:
        raise InvalidPlan(
            f"{where} has the unknown key {unknown[0]!r}; known: {', '.join((*OTHER_KEYS, *PERCENTILE_KEYS))}"
        )
    limits = {percentile: target[key] for key, percentile in PERCENTILE_KEYS.items() if key in target}
    if "model" not in target or "rate" not in target or not limits:
        raise InvalidPlan(f"{where} needs a model, a rate, and a percentile such as p99")
    try:
        slo = Slo(
            model=str(target["model"]),
            url=str(target.get("url", url)),
            metrics_url=target.get("metrics_url"),
            rate_per_s=float(target["rate"]),
            limits_s={percentile: parse_duration_s(str(limit)) for percentile, limit in limits.items()},
            failure_limit=float(target.get("failures", 0)),
            duration_s=parse_duration_s(str(target.get("duration", DEFAULT_DURATION))),
            corpus=str(target.get("corpus", DEFAULT_CORPUS)),
            texts_per_request=int(target.get("texts_per_request", 1)),
        )
    except (TypeError, ValueError) as error:
        raise InvalidPlan(f"{where}: {error}") from error
    if not 0 < slo.rate_per_s < float("inf"):
        raise InvalidPlan(f"{where}: the rate is {slo.rate_per_s:g}, it must be positive")
    if not 0 <= slo.failure_limit <= 1:
        raise InvalidPlan(f"{where}: failures is {slo.failure_limit:g}, it must be a share between 0 and 1")
    return slo


async def check(slos: list[Slo], access: Access, report: Callable[[str], None]) -> bool:
    """Measure every target and report one line for each. Returns whether all held.

    Raises:
        EncserveError: a server is not there, or a model is not ready.
    """
    held = True
    for slo in slos:
        for outcome in judge(slo, await _measure(slo, access)):
            report(outcome.line)
            held = held and outcome.held
    return held


async def _measure(slo: Slo, access: Access) -> Window:
    config = PlanConfig(
        model=slo.model,
        target_p99_s=max(slo.limits_s.values()),
        rate_per_s=slo.rate_per_s,
        url=slo.url,
        metrics_url=slo.metrics_url,
        corpus=slo.corpus,
        texts_per_request=slo.texts_per_request,
    )
    workload = prepare(config, access)
    async with open_client(config, config.url, access) as client:
        bench = make_bench(config, workload, client)
        bench.steps, bench.metrics_url = served_steps(config.url, config.model, access), config.metrics_endpoint
        for _ in range(ATTEMPTS):
            window = await bench.at_rate(slo.rate_per_s, duration_s=slo.duration_s)
            if window.is_valid:
                break
    return window


def judge(slo: Slo, window: Window) -> Iterator[Outcome]:
    """One outcome for each percentile, and one for the failures if there were any."""
    where = f"{slo.model} at {rounded(slo.rate_per_s)} requests/s"
    flattered = remembered(repeated_share([window]))
    for percentile, limit_s in slo.limits_s.items():
        measured_s = window.percentile_s(percentile)
        held = window.is_valid and measured_s <= limit_s
        line = f"{where}: p{percentile:g} {milliseconds(measured_s)}, target {milliseconds(limit_s)}"
        if flattered:
            line += f"; {flattered}"
        if not window.is_valid:
            line += f"; not measured, the generator was {milliseconds(window.lateness_p99_s)} late"
        yield Outcome(held=held, line=_marked(line, held))
    failed = sum(window.run.failures.values()) / max(1, len(window.run.scheduled_s))
    if failed or slo.failure_limit:
        held = failed <= slo.failure_limit
        kinds = f" ({window.failure_summary})" if failed else ""
        line = f"{where}: {percent(failed)} failed{kinds}, target {percent(slo.failure_limit)}"
        yield Outcome(held=held, line=_marked(line, held))


def _marked(line: str, held: bool) -> str:
    return f"{'held  ' if held else 'MISSED'}  {line}"
