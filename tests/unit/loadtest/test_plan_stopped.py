"""Plans that are refused, stopped, or cannot go on."""

import asyncio
import io
import json

import pytest
from unit.loadtest.windows import window

from encserve_loadtest.config import PlanConfig
from encserve_loadtest.errors import GeneratorTooSlow, InvalidPlan
from encserve_loadtest.estimate.capacity import Confidence
from encserve_loadtest.estimate.experiment import Experiment
from encserve_loadtest.estimate.record import Record
from encserve_loadtest.estimate.saturation import Saturation
from encserve_loadtest.measurement.bench import Bench
from encserve_loadtest.measurement.progress import Progress
from encserve_loadtest.measurement.window import Window
from encserve_loadtest.planner import keep_what_is_known, search
from encserve_loadtest.report.files import write_report
from encserve_loadtest.report.summary import render_text


@pytest.mark.parametrize(
    "options",
    [{"target_p99_s": 0}, {"rate_per_s": -1}, {"shape": "wave"}, {"window_s": 0}, {"time_limit_s": 5}, {"start_s": 0}],
)
def test_an_impossible_plan_is_refused(options):
    with pytest.raises(InvalidPlan):
        PlanConfig(**{"model": "m", "target_p99_s": 1, **options})


def test_a_slow_generator_gives_a_lower_bound(findings, tmp_path):
    async def late(rate_per_s: float, *, duration_s: float) -> Window:
        return window(0.05, rate_per_s=rate_per_s, late_s=0.5)

    async def users(users: int, *, duration_s: float) -> Window:
        return window(0.05, rate_per_s=None, users=users)

    bench = Bench(send=None, target_p99_s=0.1, window_s=1, windows=findings.windows)
    bench.at_rate, bench.with_users = late, users
    findings.capacity = None
    with pytest.raises(GeneratorTooSlow) as caught:
        asyncio.run(search(findings, bench, Progress(stream=io.StringIO())))
    findings.problem = str(caught.value)
    assert findings.bottleneck.limit == "client"
    assert "one replica holds at least  40.0 requests/s" in render_text(findings)
    write_report(findings, tmp_path / "plan.html")
    assert json.loads((tmp_path / "plan.json").read_text())["capacity"]["high_per_s"] is None


def test_a_search_that_is_stopped_has_the_range_of_its_runs(findings):
    saturation = Saturation(
        per_s=60, low_per_s=59, high_per_s=61, users=8, alone_s=0.01, alone_late=0, alone_requests=100, measured_s=10
    )
    findings.experiment = Experiment(saturation=saturation, target_s=0.1)
    findings.capacity = None
    keep_what_is_known(findings)
    assert findings.capacity is None
    findings.experiment.runs += [Record.of(each) for each in findings.windows if each.rate_per_s]
    keep_what_is_known(findings)
    assert findings.capacity.confidence is Confidence.RANGE
    assert findings.capacity.reasons[0] == "the search was stopped"
    assert findings.capacity.high_per_s <= 61
