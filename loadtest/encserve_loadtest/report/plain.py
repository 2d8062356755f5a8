"""The findings as JSON: all figures, without the single requests."""

import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from encserve import __version__
from encserve_loadtest.findings import Findings
from encserve_loadtest.fleet.scaling import SimulatedDay
from encserve_loadtest.measurement.window import PERCENTILES, Window
from encserve_loadtest.report.summary import cautions

_WITHOUT = ("workload", "windows", "shaped", "tuning", "experiment", "waiting", "day", "simulated", "trace")
"""Findings that are left out, or written in another form."""


def to_json(findings: Findings) -> dict[str, Any]:
    """All figures, without the single requests. An infinite latency is null."""
    parts = {each.name: getattr(findings, each.name) for each in fields(findings) if each.name not in _WITHOUT}
    plain: dict[str, Any] = {name: _plain(value) for name, value in parts.items()}
    plain["encserve"] = __version__
    plain["cautions"] = cautions(findings)
    plain["repeated_share"] = findings.repeated_share
    plain["windows"] = [_window_json(window) for window in findings.windows]
    if findings.workload is not None:
        plain["pipeline"] = _plain(findings.workload.pipeline)
        plain["corpus"] = findings.workload.corpus
        if findings.workload.made is not None:
            plain["output_tokens"] = {"asked": findings.config.made, "mean": float(findings.workload.made.mean())}
        plain["tokens_per_request"] = _plain(findings.tokens_per_request) if findings.windows else None
        if findings.workload.pipeline.cascade is not None:
            plain["decisions"] = dict(findings.workload.decisions)
            plain["large_share"] = findings.large_share
    if findings.curve is not None:
        plain["knee_per_s"] = findings.curve.knee_per_s()
    plain["simulated"] = [_simulated_json(day) for day in findings.simulated]
    if findings.tuning is not None:
        plain["tuning"] = {**_plain(findings.tuning), "changes": findings.tuning.changes}
    return plain


def _simulated_json(day: SimulatedDay) -> dict[str, Any]:
    return {
        "signal": day.signal,
        "replica_hours": day.replica_hours,
        "most_replicas": int(day.ready.max()),
        "refused_share": day.refused_share,
        "beyond_share": day.beyond_share,
    }


def _window_json(window: Window) -> dict[str, Any]:
    return {
        "loop": window.run.loop.value,
        "users": window.users,
        "rate_per_s": window.rate_per_s,
        "duration_s": window.run.duration_s,
        "requests": len(window.run.scheduled_s),
        "offered_per_s": window.offered_per_s,
        "achieved_per_s": window.achieved_per_s,
        **{f"p{percentile}_s": _plain(window.percentile_s(percentile)) for percentile in PERCENTILES},
        **(
            {f"first_p{each}_s": _plain(window.first_s(each)) for each in PERCENTILES}
            if window.run.first_weight
            else {}
        ),
        **(
            {f"whole_p{each}_s": _plain(window.whole_s(each)) for each in PERCENTILES}
            if window.run.first_weight
            else {}
        ),
        "lateness_p99_s": window.lateness_p99_s,
        "lateness_worst_s": window.lateness_worst_s,
        "valid": window.is_valid,
        "stable": window.is_stable,
        "holds": window.holds,
        "failures": dict(window.run.failures),
        "client_cpu_share": window.client_cpu_share,
        "host": _plain(window.host),
        "steps": {name: {**_plain(step), "batch_size": step.batch_size} for name, step in window.steps.items()},
    }


def _plain(value: Any) -> Any:
    """A value that JSON can carry."""
    if hasattr(value, "__dataclass_fields__"):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
