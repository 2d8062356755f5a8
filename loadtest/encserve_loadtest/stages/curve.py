"""The curve of a plan: measured at a few lower rates, fitted, and tested at two rates that it has not seen."""

from encserve_loadtest.curve.prediction import Prediction
from encserve_loadtest.curve.queueing import fit_curve
from encserve_loadtest.findings import Findings
from encserve_loadtest.fleet.waiting import wait_curve
from encserve_loadtest.measurement.bench import Bench
from encserve_loadtest.measurement.by_rate import by_rate, pooled_p99_s
from encserve_loadtest.measurement.window import Window

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


async def draw_curve(findings: Findings, bench: Bench) -> None:
    """Measure some lower rates as well, and fit the curve to these and the long runs of the search."""
    assert findings.capacity is not None
    assert findings.experiment is not None
    windows = len(CURVE_SHARES) + len(PREDICTED_SHARES) * PREDICTED_WINDOWS
    bench.longest_s = CURVE_TIME_SHARE * findings.config.time_limit_s / windows
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
