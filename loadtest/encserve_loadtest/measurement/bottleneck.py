"""What limits a server at its capacity: tokenize, queue, compute, or the client that measures."""

from collections.abc import Mapping
from dataclasses import dataclass

from encserve_loadtest.measurement.triton_metrics import StepTimes
from encserve_loadtest.measurement.window import Window
from encserve_loadtest.quantities import milliseconds, percent

SATURATED_SHARE = 0.75
"""A step whose instances are busy for this share of the time has no more to give at this latency."""

CLIENT_CPU_LIMIT = 0.85
"""A generator whose one thread computes for this share of the time is itself the bottleneck."""


@dataclass(frozen=True, kw_only=True)
class Bottleneck:
    """The verdict and the figure behind it."""

    limit: str
    """"tokenize", "queue", "compute", "client", or "unknown" where Triton's metrics could not be read, or are of a
    pipeline that generates."""
    reason: str


def find_bottleneck(window: Window) -> Bottleneck:
    """Judge a window at or beyond the capacity.

    In this order: a client that computes all the time; the busiest step, if it is saturated; else whichever is longer
    in all steps together, waiting or computing.
    """
    if window.client_cpu_share > CLIENT_CPU_LIMIT:
        reason = f"the load generator computed for {percent(window.client_cpu_share)} of the time"
        return Bottleneck(limit="client", reason=reason)
    if not window.steps:
        return Bottleneck(limit="unknown", reason="Triton's metrics could not be read")
    if "generate" in window.steps:  # which has read a request when Triton thinks that it has computed it
        reason = "Triton's times say nothing of a generate step; encserve_generate_waiting_texts and _rows_per_step do"
        return Bottleneck(limit="unknown", reason=reason)
    name, busiest = max(window.steps.items(), key=lambda item: item[1].busy_share)
    if busiest.busy_share >= SATURATED_SHARE:
        limit = "tokenize" if name.endswith("tokenize") else "compute"
        return Bottleneck(limit=limit, reason=f"the {name} step was busy for {percent(busiest.busy_share)} of the time")
    queue_s, compute_s = total_queue_s(window.steps), total_compute_s(window.steps)
    times = f"a request waited {milliseconds(queue_s)}, its steps took {milliseconds(compute_s)}"
    return Bottleneck(limit="queue" if queue_s > compute_s else "compute", reason=f"no step was saturated; {times}")


def total_queue_s(steps: Mapping[str, StepTimes]) -> float:
    """Mean wait of a request in all steps. A step that few requests reach, as those of the large pipeline of a cascade,
    counts by that share."""
    return sum(step.queue_s * step.requests for step in steps.values()) / _requests(steps)


def total_compute_s(steps: Mapping[str, StepTimes]) -> float:
    """Mean computation of a request in all steps, counted as `total_queue_s` counts."""
    return sum(step.compute_s * step.requests for step in steps.values()) / _requests(steps)


def _requests(steps: Mapping[str, StepTimes]) -> int:
    """Requests to the pipeline: those of the step that had most."""
    return max((step.requests for step in steps.values()), default=1)
