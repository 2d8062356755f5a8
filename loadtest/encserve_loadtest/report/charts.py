"""The charts of the report: from findings to figures."""

from collections.abc import Iterator, Sequence

import numpy as np

from encserve_loadtest.estimate.capacity import Confidence
from encserve_loadtest.findings import Findings
from encserve_loadtest.measurement.bottleneck import total_compute_s, total_queue_s
from encserve_loadtest.measurement.by_rate import by_rate, nearest_window
from encserve_loadtest.measurement.window import PERCENTILES, Window, percentile_s
from encserve_loadtest.quantities import milliseconds, percent, rounded
from encserve_loadtest.report.day_charts import day_figures
from encserve_loadtest.traffic.run import Loop
from encserve_loadtest.traffic.texts import padding_share
from encserve_pages.axis import Axis
from encserve_pages.chart import Chart, Point
from encserve_pages.page import Figure

CURVE_POINTS = 120
LENGTH_BINS = 32
CLOSE = 0.03
DRAWN_CEILING = 20.0
"""Latencies beyond so many times the target are drawn at the edge."""
STEP_COLOURS = {"tokenize": "series-1", "encode": "series-0", "head": "series-2"}
_BAND_WORDS = {
    Confidence.INTERVAL: "the 95 % interval of the capacity",
    Confidence.RANGE: "the range of the capacity",
    Confidence.AT_LEAST: "what the capacity is at least",
}


def figures(findings: Findings) -> Iterator[Figure]:
    """The charts for which there is data."""
    open_windows = by_rate(findings.windows)
    if open_windows:
        yield latency_by_rate(findings, open_windows)
    closed = [window for window in findings.windows if window.run.loop is Loop.CLOSED]
    if closed:
        yield throughput_by_users(closed)
    if open_windows:
        rate_per_s = findings.capacity.rate_per_s if findings.capacity else max(open_windows)
        window = nearest_window(findings.windows, rate_per_s)
        title = f"Latency over time at {rounded(window.offered_per_s)} requests/s"
        yield latency_over_time(window, title)
    if findings.shaped is not None:
        yield latency_over_time(findings.shaped, f"Latency over time, shape “{findings.config.shape}”")
    measured = {rate: windows[-1] for rate, windows in open_windows.items() if windows[-1].steps}
    if measured:
        yield queue_and_compute(measured)
        yield batch_sizes(findings, measured)
    if findings.workload is not None:
        yield text_lengths(findings)
    if findings.simulated:
        yield from day_figures(findings.simulated, findings.config.replica_cost_per_hour)


def latency_by_rate(findings: Findings, windows: dict[float, list[Window]]) -> Figure:
    """Percentiles against the rate, with the target, the capacity, the curve, and what it predicted."""
    target_s = findings.config.target_p99_s
    ceiling_s = DRAWN_CEILING * target_s
    levels = {
        percentile: [
            (
                rate,
                min(percentile_s(np.concatenate([window.latency_s for window in each]), percentile), ceiling_s) * 1e3,
            )
            for rate, each in pooled_by_rate(windows).items()
        ]
        for percentile in PERCENTILES
    }
    heights = [y for points in levels.values() for _, y in points]
    chart = Chart(
        x=Axis.over("requests/s, open loop", list(windows)),
        y=Axis.over("latency, ms (log)", [*heights, target_s * 1e3], log=True),
    )
    if findings.capacity is not None:
        capacity = findings.capacity
        chart.band(capacity.low_per_s, capacity.high_per_s, capacity.rate_per_s, "good", "capacity")
    chart.across(target_s * 1e3, "limit", f"target {milliseconds(target_s)}")
    if findings.curve is not None:
        rates = np.linspace(min(windows), min(max(windows), 0.995 * findings.curve.saturation_per_s), CURVE_POINTS)
        curve = [(rate, findings.curve.p99_s(rate) * 1e3) for rate in rates.tolist()]
        chart.line([point for point in curve if point[1] <= chart.y.high], "fit dashed", "fitted p99")
    for shade, (percentile, points) in enumerate(levels.items()):
        joined(chart, points, f"shade-{shade}", f"p{percentile}")
    if findings.predictions:
        points = [(each.rate_per_s, each.predicted_s * 1e3) for each in findings.predictions]
        chart.dots(valued(points), "fit ring", "p99 predicted", radius=6)
    caption = "Each point is all requests at about that rate, counted from when they were due."
    if findings.capacity is not None:
        caption += f" The band is {_BAND_WORDS[findings.capacity.confidence]}."
    return Figure("Latency against rate", chart.render(), caption)


def pooled_by_rate(windows: dict[float, list[Window]]) -> dict[float, list[Window]]:
    """Windows of rates that are close to each other as those of their mean: the long runs of a search lie so."""
    groups: list[list[float]] = []
    for rate in sorted(windows):
        if groups and rate <= (1 + CLOSE) * groups[-1][0]:
            groups[-1].append(rate)
        else:
            groups.append([rate])
    return {sum(rates) / len(rates): [each for rate in rates for each in windows[rate]] for rates in groups}


def throughput_by_users(windows: list[Window]) -> Figure:
    """Throughput of the closed loop."""
    points = [(float(window.users or 0), window.achieved_per_s) for window in windows]
    users = [x for x, _ in points]
    chart = Chart(
        x=Axis.over("users who wait for their answers (log)", users, log=True, marks=users),
        y=Axis.over("requests/s, closed loop", [y for _, y in points]),
    )
    joined(chart, points, "series-0")
    caption = "Closed loop: it shows the most that the server can do, and says nothing of latency under a given rate."
    return Figure("Throughput against concurrency", chart.render(), caption)


def latency_over_time(window: Window, title: str) -> Figure:
    """Every request of a window."""
    run = window.run
    answered = np.isfinite(run.latency_s)
    points = list(zip(run.scheduled_s[answered].tolist(), (run.latency_s[answered] * 1e3).tolist(), strict=True))
    target_ms = window.target_p99_s * 1e3
    chart = Chart(
        x=Axis(label="due at, seconds into the run", low=0, high=run.duration_s),
        y=Axis.over("latency, ms", [*(y for _, y in points), target_ms]),
    )
    chart.dots(valued(points), "series-0 faint", radius=2)
    chart.across(target_ms, "limit", f"target {milliseconds(window.target_p99_s)}")
    failed = f" {window.failure_summary} are not drawn." if run.failures else ""
    caption = f"One dot per request; p99 {milliseconds(window.p99_s)} without the first seconds.{failed}"
    return Figure(title, chart.render(), caption)


def queue_and_compute(windows: dict[float, Window]) -> Figure:
    """Time in the queues against time in the steps."""
    queue = [(rate, total_queue_s(window.steps) * 1e3) for rate, window in windows.items()]
    compute = [(rate, total_compute_s(window.steps) * 1e3) for rate, window in windows.items()]
    chart = Chart(
        x=Axis.over("requests/s, open loop", list(windows)),
        y=Axis.over("mean ms per request", [y for _, y in queue + compute]),
    )
    joined(chart, queue, "series-1", "queue")
    joined(chart, compute, "series-0", "compute")
    caption = (
        "Triton's own counters, all steps together. Where the queue passes compute, requests wait more than they work."
    )
    return Figure("Queue against compute", chart.render(), caption)


def batch_sizes(findings: Findings, windows: dict[float, Window]) -> Figure:
    """Requests per execution of each step, and what padding would have cost."""
    lines = {
        name: [(rate, window.steps[name].batch_size) for rate, window in windows.items() if name in window.steps]
        for name in windows[max(windows)].steps
    }
    chart = Chart(
        x=Axis.over("requests/s, open loop", list(windows)),
        y=Axis.over("requests per execution", [y for points in lines.values() for _, y in points]),
    )
    for name, points in lines.items():
        joined(chart, points, STEP_COLOURS.get(name, "series-3"), name)
    caption = "How many requests the batcher put together."
    if findings.workload is not None and "encode" in lines:
        at_per_s = findings.capacity.rate_per_s if findings.capacity else max(windows)
        _, requests = min(lines["encode"], key=lambda point: abs(point[0] - at_per_s))
        texts = requests * findings.config.texts_per_request
        share = padding_share(findings.workload.lengths, texts)
        caption += (
            " Packed batches have no padding in their linear layers; padded to its longest text, a batch of "
            f"{rounded(texts)} texts, as at the capacity, would be {percent(share)} padding."
        )
    return Figure("Batch size and padding", chart.render(), caption)


def text_lengths(findings: Findings) -> Figure:
    """The histogram of the lengths."""
    workload = findings.workload
    assert workload is not None
    counts, edges = np.histogram(workload.lengths, bins=min(LENGTH_BINS, int(np.ptp(workload.lengths)) + 1))
    shares = counts / counts.sum() * 100
    chart = Chart(
        x=Axis(label="tokens per text", low=0, high=float(edges[-1])), y=Axis.over("% of the texts", shares.tolist())
    )
    bins = zip(edges[:-1].tolist(), edges[1:].tolist(), shares.tolist(), strict=True)
    chart.columns(
        [(*each, f"{rounded(each[0])} to {rounded(each[1])}: {rounded(each[2])} %") for each in bins], "series-0"
    )
    median, p95 = np.percentile(workload.lengths, [50, 95])
    mean = workload.lengths.mean()
    caption = f"{workload.corpus}: median {median:.0f} tokens, 95 % are at most {p95:.0f}, mean {mean:.1f}."
    if workload.made is not None:
        median, p95 = np.percentile(workload.made, [50, 95])
        caption += (
            f" New texts: median {median:.0f} tokens, 95 % are at most {p95:.0f}, mean {workload.made.mean():.1f}."
        )
    return Figure("Text lengths", chart.render(), caption)


def joined(chart: Chart, points: Sequence[tuple[float, float]], kind: str, name: str = "") -> None:
    """Draw points and the line between them."""
    chart.line(points, kind)
    chart.dots(valued(points), kind, name)


def valued(points: Sequence[tuple[float, float]]) -> list[Point]:
    """Points that say their values when they are pointed at."""
    return [(x, y, f"{rounded(x)}, {rounded(y)}") for x, y in points]
