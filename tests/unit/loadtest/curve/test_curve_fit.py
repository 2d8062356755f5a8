"""The fit of the curve, and what it is held against."""

import asyncio

from unit.loadtest.windows import window

from encserve_loadtest.curve.queueing import fit_curve
from encserve_loadtest.measurement.bench import Bench
from encserve_loadtest.measurement.window import Window
from encserve_loadtest.stages.curve import valid_windows


def test_a_fit_needs_four_points():
    assert fit_curve([1, 2, 3], [0.1, 0.1, 0.2], throughput_per_s=5) is None


def test_a_curve_begins_no_lower_than_a_user_who_is_alone():
    """Percentiles that grow with the rate from the beginning leave nothing to a server without load."""
    rates, p99s_s = [8, 16, 24, 32], [0.3 * rate / (40 - rate) for rate in (8, 16, 24, 32)]
    free = fit_curve(rates, p99s_s, throughput_per_s=40)
    held = fit_curve(rates, p99s_s, throughput_per_s=40, least_s=0.016)
    assert free.idle_s < 0.016 <= held.idle_s
    assert free.knee_per_s() < 1 < 4 < held.knee_per_s()


def test_a_prediction_is_held_against_valid_windows_only():
    late = iter([0.5, 0.0, 0.5, 0.0])

    async def sometimes_late(rate_per_s: float) -> Window:
        return window(0.05, rate_per_s=rate_per_s, late_s=next(late))

    bench = Bench(send=None, target_p99_s=0.1, window_s=1)
    bench.at_rate = sometimes_late
    windows = asyncio.run(valid_windows(bench, 30, count=2))
    assert [each.is_valid for each in windows] == [True, True]
    assert next(late, "all measured") == "all measured"
