"""A whole plan in virtual time: the real generator and all stages, against a server of known speed, to the report."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from unit.loadtest.stub_server import TOKENS, StubServer
from unit.loadtest.virtual_time import run_virtual

from encserve._commands.access import Access
from encserve.testing import fake_pipeline
from encserve_loadtest.config import PlanConfig
from encserve_loadtest.estimate.capacity import Confidence
from encserve_loadtest.findings import Findings
from encserve_loadtest.fleet.day import Day
from encserve_loadtest.measurement.bench import Bench
from encserve_loadtest.measurement.progress import Progress
from encserve_loadtest.planner import plan
from encserve_loadtest.report.files import write_report
from encserve_loadtest.report.summary import render_text
from encserve_loadtest.traffic.tasks import task_of
from encserve_loadtest.traffic.trace import Trace
from encserve_loadtest.traffic.workload import Workload

TRUTH_PER_S = 38.7
"""M/D/1 with a service of 20 ms and a target of ten of them."""


@pytest.fixture
def known(monkeypatch):
    """The planner asks a server of known speed, with no process or network between."""
    pipeline = fake_pipeline(name="fake")
    workload = Workload(
        pipeline=pipeline,
        task=task_of(pipeline.task, model="fake"),
        corpus="queries",
        requests=[["a text"]],
        lengths=np.array([8, 10, 12]),
    )
    server = StubServer(service_s=0.02)

    @asynccontextmanager
    async def no_client(*_: object) -> AsyncIterator[None]:
        yield

    async def no_metrics(self: Bench) -> None:
        return None

    def bench(config: PlanConfig, *_: object) -> Bench:
        return Bench(send=server.serve, target_p99_s=config.target_p99_s, window_s=config.window_s)

    monkeypatch.setattr("encserve_loadtest.planner.prepare", lambda *_: workload)
    monkeypatch.setattr("encserve_loadtest.planner.served_steps", lambda *_: ())
    monkeypatch.setattr("encserve_loadtest.planner.open_client", no_client)
    monkeypatch.setattr("encserve_loadtest.planner.make_bench", bench)
    monkeypatch.setattr(Bench, "_scrape", no_metrics)


def test_a_plan_goes_from_an_address_to_replicas_a_price_and_a_report(known, tmp_path):
    config = PlanConfig(
        model="fake",
        target_p99_s=0.2,
        rate_per_s=500,
        replica_cost_per_hour=1.2,
        shape="spike",
        time_limit_s=120,
        url="gpu-1:8001",
    )
    day = Day(time_s=np.array([0, 3600, 7200.0]), rate_per_s=np.array([100, 500, 100.0]))
    trace = Trace(source="day.jsonl", texts=np.array([0, 1, 0, 2]), sizes=np.array([10, 1, 10, 9]))
    found, said = Findings(config=config, day=day, trace=trace), io.StringIO()
    run_virtual(plan(found, Progress(stream=said), Access()))
    capacity = found.capacity
    assert capacity.low_per_s <= TRUTH_PER_S <= capacity.high_per_s
    assert capacity.rate_per_s <= 50
    assert found.sizing.replicas == found.sizing.needed + 1 == int(np.ceil(500 / capacity.low_per_s)) + 1
    assert found.tokens_per_request == TOKENS
    assert [each.inside for each in found.predictions] == [False, True]
    assert min(found.fitted_per_s) > 0.2 * capacity.rate_per_s
    assert 0 < found.added_at_s < 0.2
    assert found.noise is not None
    assert all(window.host is not None for window in found.windows)
    assert "closed loop" in said.getvalue()
    assert "so far: " in said.getvalue()
    text = render_text(found)
    for topic in (
        "one replica holds",
        "for 500 requests/s",
        "a zone's loss takes",
        "a million texts cost",
        "simulated",
        "texts that repeat",
        "a shared cache spares",
    ):
        assert topic in text
    assert found.repeats.replicas == found.sizing.replicas
    write_report(found, tmp_path / "plan.html")
    plain = json.loads((tmp_path / "plan.json").read_text())
    assert plain["repeats"]["together"] == {"texts": 0.25, "bytes": pytest.approx(1 / 3)}
    assert "trace" not in plain
    assert plain["capacity"]["confidence"] in [each.value for each in Confidence]
    spent_s = sum(window.run.duration_s for window in found.windows if window.rate_per_s or window.users)
    assert spent_s < config.time_limit_s


def test_a_quick_plan_prints_a_range(known):
    config = PlanConfig(model="fake", target_p99_s=0.2, quick=True, time_limit_s=60, url="gpu-1:8001")
    found = Findings(config=config)
    run_virtual(plan(found, Progress(stream=io.StringIO()), Access()))
    assert found.capacity.confidence is Confidence.RANGE
    assert "the search was short (--quick)" in found.capacity.reasons
    assert "95 %" not in render_text(found)
