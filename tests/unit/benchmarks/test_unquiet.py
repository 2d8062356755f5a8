"""Machines that drift, in virtual time."""

import numpy as np
import pytest
from benchmarks.capacity.unquiet import drifting, plan_on


def test_a_machine_that_drifts_is_as_fast_as_another_on_average_and_no_faster_than_it_may_be():
    pace = drifting(0.21, horizon_s=30_000, rng=np.random.default_rng(0))
    speeds = np.diff(pace.work_s) / np.diff(pace.time_s)
    assert speeds.max() / speeds.min() == pytest.approx(1.21, rel=0.01)
    assert pace.work_s[-1] / pace.time_s[-1] == pytest.approx(1, rel=0.01)


def test_a_search_sees_the_drift_between_its_long_runs():
    quiet, unquiet = (plan_on(drift, seed=0, time_s=288) for drift in (0.0, 0.5))
    assert quiet.noise.drift < 1e-6
    assert not quiet.noise.reasons
    assert 0.05 < unquiet.noise.drift <= 0.5
    assert unquiet.has(unquiet.capacity.low_per_s * 0.97, widened=True)
    assert not unquiet.has(unquiet.capacity.low_per_s * 0.97, widened=False)
