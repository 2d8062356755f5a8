"""The goals over 30 days: which of their alerts there are, for faults of known size, in Prometheus's own arithmetic."""

import pytest
import yaml
from deploy_files import MONITORING
from promtool import tried

HOUR = 60
DAY = 24 * HOUR
GOALS = ("AvailabilityBurnsFast", "AvailabilityBurns", "LatencyBurnsFast", "LatencyBurns")


def counter(name, *parts, **labels):
    """A counter that grows by so much a minute for so many minutes, part after part."""
    inside = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    values, reached = [], 0
    for per_minute, minutes in parts:
        values.append(f"{reached}+{per_minute}x{minutes}")
        reached += per_minute * (minutes + 1)
    return {"series": f"{name}{{{inside}}}", "values": " ".join(values)}


def answered(*parts, instance="one", model="minilm", version="1"):
    return counter("nv_inference_request_success", *parts, model=f"{model}_head", version=version, instance=instance)


def failed(*parts, model="minilm", version="1"):
    """Each failure of an ensemble is counted twice by Triton."""
    twice = [(2 * per_minute, minutes) for per_minute, minutes in parts]
    labels = {"model": model, "version": version, "reason": "OTHER", "instance": "one"}
    return counter("nv_inference_request_failure", *twice, **labels)


def took(slow, per_minute, minutes, lane="interactive"):
    """Requests of which `slow` in a thousand take longer than a second."""
    labels = {"model": "minilm_head", "pipeline": "minilm", "version": "1", "lane": lane}
    name = "encserve_request_duration_seconds"
    in_time = per_minute - per_minute * slow // 1_000
    return [
        counter(f"{name}_bucket", (in_time, minutes), le="1.0", **labels),
        counter(f"{name}_count", (per_minute, minutes), **labels),
    ]


def alerts_of(tmp_path, series, *, at):
    """The goals' alerts, at a minute."""
    rules = [MONITORING / "alerts.yml", MONITORING / "slo.yml"]
    asked = {"eval_time": f"{at}m", "expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "exp_samples": []}
    tests = {
        "rule_files": [str(file) for file in rules],
        # Without an order promtool takes the groups in any, and a goal may read what was recorded half an hour before.
        "group_eval_order": [group["name"] for file in rules for group in yaml.safe_load(file.read_text())["groups"]],
        # What burns for days is looked at as rarely as it can be: each look reads days of samples.
        "evaluation_interval": "30m" if at % DAY == 0 else "5m" if at > 2 * HOUR else "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [asked]}],
    }
    code, said = tried(tmp_path, tests)
    assert code == 0 or "got:" in said, said
    return {goal for goal in GOALS if f'alertname="{goal}"' in said}


@pytest.mark.parametrize(
    ("series", "at", "alerts"),
    [
        ([answered((985, 3 * HOUR)), failed((15, 3 * HOUR))], 3 * HOUR, {"AvailabilityBurnsFast", "AvailabilityBurns"}),
        ([answered((9_995, DAY)), failed((5, DAY))], DAY, set()),
        ([answered((9_985, 3 * DAY)), failed((15, 3 * DAY))], 3 * DAY, {"AvailabilityBurns"}),
        ([answered((0, 3 * HOUR)), failed((100, 3 * HOUR))], 3 * HOUR, {"AvailabilityBurnsFast", "AvailabilityBurns"}),
        ([answered((0, 6 * HOUR)), failed((0, 6 * HOUR))], 6 * HOUR, set()),
        ([answered((1, 30), (0, 30)), failed((0, 25), (1, 5), (0, 30))], 32, set()),
    ],
    ids=["fifteen budgets", "half a budget", "one and a half for days", "all fail", "no traffic", "few requests"],
)
def test_what_is_unanswered_uses_up_the_budget(tmp_path, series, at, alerts):
    assert alerts_of(tmp_path, series, at=at) == alerts


def test_an_alert_ends_soon_after_the_fault(tmp_path):
    """Five percent fail for half an hour in a day that is well otherwise: the page is over within forty minutes."""
    before, fault, after = (1_000, DAY), (950, 30), (1_000, HOUR)
    series = [answered(before, fault, after), failed((0, DAY), (50, 30), (0, HOUR))]
    assert "AvailabilityBurnsFast" in alerts_of(tmp_path, series, at=DAY + 31)
    assert "AvailabilityBurnsFast" not in alerts_of(tmp_path, series, at=DAY + 30 + 40)


def test_a_replica_that_vanishes_fails_nothing(tmp_path):
    gone = answered((500, HOUR), instance="two")
    gone["values"] += " stale"
    assert alerts_of(tmp_path, [answered((500, 3 * HOUR)), failed((0, 3 * HOUR)), gone], at=HOUR + 10) == set()


def test_what_a_candidate_answers_or_fails_at_is_of_the_pipeline(tmp_path):
    candidate = {"model": "minilm_candidate", "version": "2"}
    both = [answered((950, 3 * HOUR)), answered((30, 3 * HOUR), **candidate), failed((20, 3 * HOUR), **candidate)]
    fast = {"AvailabilityBurnsFast", "AvailabilityBurns"}
    assert alerts_of(tmp_path, both, at=3 * HOUR) == fast
    few = [answered((999_000, 3 * HOUR)), answered((30, 3 * HOUR), **candidate), failed((20, 3 * HOUR), **candidate)]
    assert alerts_of(tmp_path, few, at=3 * HOUR) == set()


def test_what_callers_gave_up_uses_up_nothing(tmp_path):
    given_up = [
        counter("encserve_cancelled_requests", (50, 3 * HOUR), model="minilm_tokenize", version="1", lane="bulk"),
        counter("encserve_cancel_messages", (50, 3 * HOUR), model="minilm_tokenize", version="1"),
    ]
    series = [answered((900, 3 * HOUR)), failed((100, 3 * HOUR)), *given_up]
    assert alerts_of(tmp_path, series, at=3 * HOUR) == set()


@pytest.mark.parametrize(
    ("series", "at", "alerts"),
    [
        (took(200, 1_000, 3 * HOUR), 3 * HOUR, {"LatencyBurnsFast", "LatencyBurns"}),
        (took(15, 1_000, 3 * DAY), 3 * DAY, {"LatencyBurns"}),
        (took(5, 1_000, DAY), DAY, set()),
        (took(200, 1_000, 3 * HOUR, lane="bulk"), 3 * HOUR, set()),
    ],
    ids=["twenty budgets", "one and a half for days", "half a budget", "in bulk"],
)
def test_what_is_slow_uses_up_the_budget(tmp_path, series, at, alerts):
    assert alerts_of(tmp_path, series, at=at) == alerts
