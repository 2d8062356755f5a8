"""From windows to the verdict: metrics, bottleneck, capacity, sizing, SLOs, report."""

import asyncio
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from encserve_loadtest.bench import Bench
from encserve_loadtest.bottleneck import find_bottleneck
from encserve_loadtest.config import PlanConfig
from encserve_loadtest.errors import GeneratorTooSlow, InvalidPlan
from encserve_loadtest.estimate.capacity import Capacity, Confidence
from encserve_loadtest.estimate.experiment import Experiment
from encserve_loadtest.estimate.record import Record
from encserve_loadtest.estimate.saturation import Saturation
from encserve_loadtest.findings import Findings, Prediction
from encserve_loadtest.fleet.day import Day
from encserve_loadtest.fleet.sizing import price, size_fleet
from encserve_loadtest.fleet.waiting import wait_curve
from encserve_loadtest.planner import judge as judge_plan
from encserve_loadtest.planner import keep_what_is_known, search, simulate_day, valid_windows
from encserve_loadtest.progress import Progress
from encserve_loadtest.queueing import fit_curve
from encserve_loadtest.report import to_json, write_report
from encserve_loadtest.run import Loop, Run
from encserve_loadtest.served import ServedStep
from encserve_loadtest.slo import judge, read_slos
from encserve_loadtest.summary import render_text
from encserve_loadtest.triton_metrics import StepTimes, parse_counters, times_between
from encserve_loadtest.window import Window

METRICS = """# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{{model="m_encode",version="1"}} 5
nv_inference_request_success{{model="m_encode",version="2"}} {requests}
nv_inference_exec_count{{model="m_encode",version="2"}} {batches}
nv_inference_queue_duration_us{{model="m_encode",version="2"}} {queue_us}
nv_inference_compute_input_duration_us{{model="m_encode",version="2"}} 0
nv_inference_compute_infer_duration_us{{model="m_encode",version="2"}} {compute_us}
nv_inference_compute_output_duration_us{{model="m_encode",version="2"}} 0
nv_inference_request_success{{model="m_head",version="2"}} 9
encserve_nonfinite_texts{{model="m_encode",version="2"}} 0
"""


def window(
    latency_s: float = 0.05,
    *,
    rate_per_s: float | None = 50,
    target_s: float = 0.1,
    late_s: float = 0.0,
    failed: int = 0,
    steps: dict[str, StepTimes] | None = None,
    cpu_s: float = 1.0,
    users: int | None = None,
) -> Window:
    """Ten seconds with exponential latencies of the given 99th percentile."""
    rng = np.random.default_rng(int((rate_per_s or 7) * 100))
    due_s = np.sort(rng.uniform(0, 10, int((rate_per_s or 20) * 10)))
    finished_s = due_s + rng.exponential(latency_s / np.log(100), len(due_s))
    finished_s[:: len(due_s) // failed if failed else len(due_s) + 1] = np.inf
    run = Run(
        loop=Loop.CLOSED if users else Loop.OPEN,
        duration_s=10,
        scheduled_s=due_s,
        sent_s=due_s + late_s,
        finished_s=finished_s if failed else due_s + np.maximum(finished_s - due_s, 1e-4),
        tokens=np.where(np.isfinite(finished_s), 30, 0),
        failures={"Unavailable": failed} if failed else {},
        client_cpu_s=cpu_s,
    )
    return Window(run=run, rate_per_s=rate_per_s, users=users, target_p99_s=target_s, steps=steps or {})


def step(*, busy: float = 0.5, queue_s: float = 0.01, compute_s: float = 0.02, repeated: int = 0) -> StepTimes:
    return StepTimes(
        requests=100,
        batches=50,
        queue_s=queue_s,
        compute_s=compute_s,
        busy_share=busy,
        texts=100,
        repeated_texts=repeated,
    )


def test_two_scrapes_make_the_times_of_a_step():
    before = parse_counters(METRICS.format(requests=100, batches=80, queue_us=1_000, compute_us=5_000))
    after = parse_counters(METRICS.format(requests=300, batches=180, queue_us=2_001_000, compute_us=4_005_000))
    steps = [
        ServedStep(name=name, model=f"m_{name}", instances=2, max_batch_size=8, queue_delay_us=0)
        for name in ("encode", "head")
    ]
    times = times_between(before, after, steps, elapsed_s=4)
    assert list(times) == ["encode"]  # head answered nothing
    assert times["encode"] == StepTimes(requests=200, batches=100, queue_s=0.01, compute_s=0.02, busy_share=0.25)
    assert times["encode"].batch_size == 2


def test_what_a_step_counts_after_its_execute_is_added():
    late = """
encserve_queue_duration_us{model="m_encode",version="2"} 1000000
encserve_compute_infer_duration_us{model="m_encode",version="2"} 3000000
encserve_batches{model="m_encode",version="2"} 20
"""
    after = parse_counters(METRICS.format(requests=100, batches=50, queue_us=1_000_000, compute_us=1_000_000) + late)
    step = ServedStep(name="encode", model="m_encode", instances=1, max_batch_size=8, queue_delay_us=0)
    before = parse_counters(METRICS.format(requests=0, batches=0, queue_us=0, compute_us=0))
    (times,) = times_between(before, after, [step], elapsed_s=4).values()
    assert times == StepTimes(requests=100, batches=20, queue_s=0.02, compute_s=0.04, busy_share=0.2)


def test_texts_that_were_not_computed_are_counted():
    counts = """
encserve_encoded_texts{{model="m_encode",version="2"}} {0}
encserve_repeated_texts{{model="m_encode",version="2"}} {1}
"""
    scrapes = [
        parse_counters(
            METRICS.format(requests=each, batches=each, queue_us=0, compute_us=0) + counts.format(each, part)
        )
        for each, part in ((100, 90), (300, 130))
    ]
    step = ServedStep(name="encode", model="m_encode", instances=1, max_batch_size=8, queue_delay_us=0)
    (times,) = times_between(*scrapes, [step], elapsed_s=4).values()
    assert (times.texts, times.repeated_texts) == (200, 40)


@pytest.mark.parametrize(
    ("steps", "cpu_s", "limit"),
    [
        ({"tokenize": step(busy=0.9), "encode": step(busy=0.6)}, 1, "tokenize"),
        ({"tokenize": step(busy=0.3), "encode": step(busy=0.8)}, 1, "compute"),
        ({"tokenize": step(), "encode": step(queue_s=0.2)}, 1, "queue"),
        ({"tokenize": step(), "encode": step(compute_s=0.2)}, 1, "compute"),
        ({"encode": step(busy=1.0)}, 9.5, "client"),
        ({}, 1, "unknown"),
    ],
)
def test_the_bottleneck_is_named(steps, cpu_s, limit):
    assert find_bottleneck(window(steps=steps, cpu_s=cpu_s)).limit == limit


def test_replicas_keep_the_target_with_one_down():
    sizing = size_fleet(2_000, Capacity(rate_per_s=100, low_per_s=90, high_per_s=110))
    assert (sizing.needed, sizing.replicas) == (23, 24)
    assert sizing.headroom == pytest.approx(1 - 2_000 / 2_400)
    assert sizing.headroom_degraded == pytest.approx(1 - 2_000 / 2_300)


def test_the_loss_of_a_zone_takes_a_third_or_more():
    sizing = size_fleet(2_000, Capacity(rate_per_s=100, low_per_s=90, high_per_s=110))
    assert (sizing.zone_loss, sizing.holds_without_a_zone) == (8 / 24, False)
    assert sizing.replicas_for_a_zone == 35  # 12 of 35 are in the fullest zone, 23 are left
    few = size_fleet(50, Capacity(rate_per_s=100, low_per_s=90, high_per_s=110))
    assert (few.replicas, few.zone_loss, few.holds_without_a_zone, few.replicas_for_a_zone) == (2, 0.5, True, 2)


def test_the_price_of_texts_and_tokens():
    sizing = size_fleet(100, Capacity(rate_per_s=100, low_per_s=100, high_per_s=100))
    cost = price(sizing, replica_cost_per_hour=3.6, texts_per_request=4, tokens_per_request=200)
    assert cost.per_million_texts == cost.per_million_texts_at_best
    assert cost.per_million_texts == pytest.approx(2 * 3.6 / 3600 / 100 / 4 * 1e6)
    assert cost.per_million_tokens == pytest.approx(2 * 3.6 / 3600 / 100 / 200 * 1e6)


def test_the_price_has_the_interval_of_the_capacity():
    sizing = size_fleet(2_000, Capacity(rate_per_s=100, low_per_s=90, high_per_s=110))
    assert (sizing.needed, sizing.needed_at_best) == (23, 19)
    cost = price(sizing, replica_cost_per_hour=1.2, texts_per_request=1, tokens_per_request=30)
    assert cost.per_million_texts_at_best / cost.per_million_texts == pytest.approx(20 / 24)
    assert cost.per_million_tokens_at_best / cost.per_million_tokens == pytest.approx(20 / 24)


def test_a_replica_is_added_by_the_wait_before_the_capacity_is_reached():
    windows = [window(p99_s, rate_per_s=rate) for rate, p99_s in [(20, 0.04), (40, 0.08), (60, 0.2)]]
    curve = wait_curve([*windows, window(rate_per_s=None, users=1)], alone_s=0.005)
    means = [each.mean_s - 0.005 for each in windows]
    assert curve.waits_s == pytest.approx([0, *means])
    assert curve.wait_s(50) == pytest.approx((means[1] + means[2]) / 2)
    assert curve.added_at_s(40 / 0.85) == pytest.approx(means[1])
    assert curve.wait_s(10) == pytest.approx(means[0] / 2)
    assert wait_curve([window(rate_per_s=None, users=1)], alone_s=0.005) is None


def test_a_fit_needs_four_points():
    assert fit_curve([1, 2, 3], [0.1, 0.1, 0.2], throughput_per_s=5) is None


def test_a_curve_begins_no_lower_than_a_user_who_is_alone():
    """Percentiles that grow with the rate from the beginning leave nothing to a server without load."""
    rates, p99s_s = [8, 16, 24, 32], [0.3 * rate / (40 - rate) for rate in (8, 16, 24, 32)]
    free = fit_curve(rates, p99s_s, throughput_per_s=40)
    held = fit_curve(rates, p99s_s, throughput_per_s=40, least_s=0.016)
    assert free.idle_s < 0.016 <= held.idle_s
    assert free.knee_per_s() < 1 < 4 < held.knee_per_s()


SLO = """targets:
  - {model: minilm, rate: 50, p99: 100ms, p50: 20ms}
"""


@pytest.fixture
def slo(tmp_path):
    file = tmp_path / "slo.yaml"
    file.write_text(SLO)
    (slo,) = read_slos(file)
    return slo


def test_one_line_for_each_target(slo):
    outcomes = list(judge(slo, window(0.05)))
    assert [outcome.held for outcome in outcomes] == [True, True]
    assert outcomes[1].line.startswith("held    minilm at 50.0 requests/s: p99 ")
    assert outcomes[1].line.endswith("target 100 ms")
    slow = list(judge(slo, window(0.2)))
    assert [outcome.held for outcome in slow] == [False, False]
    assert slow[1].line.startswith("MISSED")


def test_failures_miss_a_target_that_allows_none(slo):
    outcomes = list(judge(slo, window(0.01, failed=1)))
    assert [outcome.held for outcome in outcomes] == [True, True, False]
    assert outcomes[2].line == "MISSED  minilm at 50.0 requests/s: 0.20 % failed (1 Unavailable), target 0 %"
    assert all(outcome.held for outcome in judge(replace(slo, failure_limit=0.01), window(0.01, failed=1)))


def test_a_late_generator_proves_no_target(slo):
    outcomes = list(judge(slo, window(0.01, late_s=0.5)))
    assert not any(outcome.held for outcome in outcomes)
    assert "not measured, the generator was 500 ms late" in outcomes[0].line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("targets: [", "is no YAML"),
        ("{}", "no list of targets"),
        ("targets: [7]", "target 1 is 7"),
        ("targets: [{model: a, rate: 5, p98: 1s}]", "target 1 has the unknown key 'p98'"),
        ("targets: [{model: a, rate: 5}]", "target 1 needs a model, a rate, and a percentile"),
        ("targets: [{model: a, rate: 5, p99: 100}]", "target 1: '100' is no duration"),
        ("targets: [{model: a, rate: fast, p99: 1s}]", "target 1: could not convert"),
        ("targets: [{model: a, rate: -5, p99: 1s}]", "target 1: the rate is -5, it must be positive"),
        ("targets: [{model: a, rate: 5, p99: 1s, failures: 3}]", "target 1: failures is 3, it must be a share"),
        ("{goals: 1, targets: [{model: a, rate: 5, p99: 1s}]}", "has the unknown key 'goals'; known: targets"),
    ],
)
def test_a_malformed_slo_is_named(tmp_path, content, message):
    file = tmp_path / "slo.yaml"
    file.write_text(content)
    with pytest.raises(InvalidPlan, match=message):
        read_slos(file)


@pytest.mark.parametrize(
    "options",
    [{"target_p99_s": 0}, {"rate_per_s": -1}, {"shape": "wave"}, {"window_s": 0}, {"time_limit_s": 5}, {"start_s": 0}],
)
def test_an_impossible_plan_is_refused(options):
    with pytest.raises(InvalidPlan):
        PlanConfig(**{"model": "m", "target_p99_s": 1, **options})


@pytest.fixture
def findings():
    steps = {"tokenize": step(busy=0.2), "encode": step(busy=0.9), "head": step(busy=0.1)}
    found = Findings(config=PlanConfig(model="m<b>", target_p99_s=0.1, rate_per_s=2_000, replica_cost_per_hour=1.2))
    found.windows += [window(rate_per_s=None, users=users) for users in (1, 2, 4)]
    found.windows += [
        window(p99_s, rate_per_s=rate, steps=steps) for rate, p99_s in [(20, 0.04), (40, 0.08), (60, 0.2)]
    ]
    found.capacity = Capacity(rate_per_s=43, low_per_s=38, high_per_s=47)
    found.predictions.append(Prediction(rate_per_s=30, predicted_s=0.05, measured_s=0.04))
    judge_plan(found)
    return found


def test_the_terminal_says_it_all(findings):
    text = render_text(findings)
    for part in (
        "one replica holds",
        "replicas",
        "a million texts cost",
        "limited by",
        "compute",
        "25 % too high",
        "95 % interval",
    ):
        assert part in text


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


def test_a_range_is_no_interval_and_says_why_first(findings):
    findings.capacity = replace(
        findings.capacity, confidence=Confidence.RANGE, reasons=("it is too short",), needed_s=700.0
    )
    first, *rest = render_text(findings).splitlines()
    assert first == "only a range is known: it is too short; an interval takes --time-limit 15min at least"
    assert "range 38.0 to 47.0" in rest[0]
    assert "95 %" not in render_text(findings)


def test_a_prediction_that_missed_is_said_first(findings):
    assert render_text(findings).startswith("one replica holds")
    findings.predictions.append(Prediction(rate_per_s=8, predicted_s=0.05, measured_s=0.1, inside=False))
    text = render_text(findings)
    assert text.startswith(
        "the curve is not to be trusted: at 8.00 requests/s it was 50 % too low, and the bound is 30 %"
    )
    assert "interpolation tested" in text
    assert "prediction tested" in text


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


def test_a_prediction_is_held_against_valid_windows_only():
    late = iter([0.5, 0.0, 0.5, 0.0])

    async def sometimes_late(rate_per_s: float) -> Window:
        return window(0.05, rate_per_s=rate_per_s, late_s=next(late))

    bench = Bench(send=None, target_p99_s=0.1, window_s=1)
    bench.at_rate = sometimes_late
    windows = asyncio.run(valid_windows(bench, 30, count=2))
    assert [each.is_valid for each in windows] == [True, True]
    assert next(late, "all measured") == "all measured"


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
    simulate_day(findings, Day(time_s=np.array([0, 3600, 7200.0]), rate_per_s=np.array([100, 500, 100.0])))
    assert [day.signal for day in findings.simulated] == [
        *("processor time", "Triton's queue time", "seconds of work waiting")
    ]
    assert "over the day by processor time: at most" in render_text(findings)
    write_report(findings, tmp_path / "plan.html")
    page = (tmp_path / "plan.html").read_text()
    assert "Simulation: replicas over the day" in page
    assert "Simulation: refusals over the day" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    plain = json.loads((tmp_path / "plan.json").read_text())
    assert [day["signal"] for day in plain["simulated"]] == [day.signal for day in findings.simulated]
