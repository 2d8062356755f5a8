"""The files of a report."""

import json
from dataclasses import replace

import numpy as np
import pytest
from unit.loadtest.windows import step, window

from encserve_loadtest.config import PlanConfig
from encserve_loadtest.estimate.capacity import Confidence
from encserve_loadtest.estimate.experiment import Experiment
from encserve_loadtest.estimate.saturation import Saturation
from encserve_loadtest.findings import Findings
from encserve_loadtest.fleet.day import Day
from encserve_loadtest.fleet.waiting import wait_curve
from encserve_loadtest.planner import simulate_day
from encserve_loadtest.report.charts import pooled_by_rate
from encserve_loadtest.report.files import write_report
from encserve_loadtest.report.page import render_html
from encserve_loadtest.report.plain import to_json
from encserve_loadtest.report.summary import render_text
from encserve_loadtest.slo import judge
from encserve_loadtest.traffic.run import Loop, Run


def test_figures_that_a_memory_flattered_are_marked(findings, slo, tmp_path):
    words = "25 % of the texts were not computed, the server remembered them"
    assert "remembered" not in render_text(findings)
    assert to_json(findings)["repeated_share"] == 0
    steps = {"tokenize": replace(step(), texts=0), "encode": step(repeated=25)}
    findings.windows = [replace(each, steps=steps) for each in findings.windows]
    assert f"flattered: {words}" in render_text(findings)
    assert to_json(findings)["repeated_share"] == 0.25
    write_report(findings, tmp_path / "plan.html")
    assert f"Flattered: {words}" in (tmp_path / "plan.html").read_text()
    assert all(words in outcome.line for outcome in judge(slo, findings.windows[-1]))


def test_the_report_needs_no_network(findings, tmp_path):
    write_report(findings, tmp_path / "plan.html")
    page = (tmp_path / "plan.html").read_text()
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    assert "m&lt;b&gt;" in page
    for title in (
        "Latency against rate",
        "Throughput against concurrency",
        "Latency over time",
        "Queue against compute",
    ):
        assert title in page
    plain = json.loads((tmp_path / "plan.json").read_text())
    assert plain["capacity"]["rate_per_s"] == findings.capacity.rate_per_s
    assert len(plain["windows"]) == 6
    assert plain["windows"][3]["steps"]["encode"]["busy_share"] == 0.9


@pytest.mark.parametrize(
    ("confidence", "words"),
    [
        (Confidence.INTERVAL, "The band is the 95 % interval of the capacity."),
        (Confidence.RANGE, "The band is the range of the capacity."),
        (Confidence.AT_LEAST, "The band is what the capacity is at least."),
    ],
)
def test_the_band_is_called_what_it_is(findings, confidence, words):
    findings.capacity = replace(findings.capacity, confidence=confidence)
    assert words in render_html(findings)
    findings.capacity = None
    assert "The band" not in render_html(findings)


def test_runs_at_about_one_rate_are_one_point():
    windows = {rate: [window(rate_per_s=rate)] for rate in (10.0, 40.0, 40.5, 41.0, 42.0)}
    together = pooled_by_rate(windows)
    assert [len(each) for each in together.values()] == [1, 3, 1]
    assert list(together) == [10, 40.5, 42]


def test_an_interrupted_plan_has_a_report(tmp_path):
    found = Findings(config=PlanConfig(model="m", target_p99_s=0.1), problem="it was interrupted")
    found.windows.append(window(failed=50))
    write_report(found, tmp_path / "plan.html")
    assert "it was interrupted" in (tmp_path / "plan.html").read_text()
    assert to_json(found)["windows"][0]["p99_s"] is None
    assert render_text(found) == "incomplete: it was interrupted"


def test_a_plan_in_which_every_request_fails_has_a_report(tmp_path):
    run = Run(
        loop=Loop.CLOSED,
        duration_s=1,
        scheduled_s=np.array([0.0, 0.5]),
        sent_s=np.array([0.0, 0.5]),
        finished_s=np.array([np.inf, np.inf]),
        tokens=np.zeros(2, np.int64),
        failures={"Unavailable": 2},
    )
    found = Findings(config=PlanConfig(model="m", target_p99_s=0.1), problem="every request failed: Unavailable")
    found.windows.append(replace(window(), run=run))
    assert found.tokens_per_request == 0
    write_report(found, tmp_path / "plan.html")
    assert "every request failed" in (tmp_path / "plan.html").read_text()
    assert "every request failed" in render_text(found)


def test_a_simulated_day_is_drawn_and_called_a_simulation(findings, tmp_path):
    saturation = Saturation(
        per_s=60, low_per_s=59, high_per_s=61, users=8, alone_s=0.005, alone_late=0, alone_requests=100, measured_s=10
    )
    findings.experiment = Experiment(saturation=saturation, target_s=0.1)
    findings.waiting = wait_curve(findings.windows, alone_s=0.005)
    findings.added_at_s = findings.waiting.added_at_s(findings.capacity.low_per_s)
    slowly, at_once = np.array([0, 3600, 7200.0]), np.array([0, 3600, 3601, 7200.0])
    simulate_day(findings, Day(time_s=slowly, rate_per_s=np.array([100, 500, 100.0])))
    assert "Simulation: refusals over the day" not in render_html(findings)
    simulate_day(findings, Day(time_s=at_once, rate_per_s=np.array([100, 100, 1_000, 1_000.0])))
    assert [day.signal for day in findings.simulated] == [
        *("processor time", "Triton's queue time", "seconds of work waiting")
    ]
    assert "over the day by processor time: at most" in render_text(findings)
    write_report(findings, tmp_path / "plan.html")
    page = (tmp_path / "plan.html").read_text()
    assert "Simulation: replicas over the day" in page
    assert "Simulation: refusals over the day" in page
    assert "Simulation: cost over the day" in page
    assert "At 1.20 per replica and hour" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    plain = json.loads((tmp_path / "plan.json").read_text())
    assert [day["signal"] for day in plain["simulated"]] == [day.signal for day in findings.simulated]
