"""Prometheus: what it reads parses, asks for metrics, and raises the alerts that it should."""

import re
import shutil
import subprocess

import pytest
import yaml
from deploy_files import METRIC, MONITORING, ROOT, queries, rules


@pytest.mark.parametrize(
    "check",
    [
        ["config", "--syntax-only", "--lint=all", "prometheus.yml"],
        ["rules", "--lint=all", "alerts.yml", "drift.yml", "slo.yml"],
    ],
    ids=["config", "rules"],
)
def test_promtool_accepts_it(check):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on PATH (Debian: apt-get install prometheus)")
    checked = subprocess.run(
        [promtool, "check", *check], cwd=MONITORING, capture_output=True, text=True, timeout=120, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def series(name, per_minute, **labels):
    """A counter that grows for twenty minutes; of version 1 where it is of a model."""
    labels = {"version": "1", **labels} if "model" in labels else labels
    inside = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    return {"series": f"{name}{{{inside}}}", "values": f"0+{per_minute}x20"}


SUCCESS = "nv_inference_request_success"
FAILURE = "nv_inference_request_failure"
GIVEN_UP = [
    series("encserve_cancelled_requests", 100, model="minilm_tokenize", lane="bulk"),
    series("encserve_cancel_messages", 100, model="minilm_tokenize"),
    series(FAILURE, 400, model="minilm", reason="OTHER"),
]
TURNED_AWAY = [
    series("encserve_refused_requests", 50, model="minilm_tokenize", lane="bulk", limit="timeout"),
    series("encserve_refused_requests", 50, model="minilm_tokenize", lane="interactive", limit="max_queued_texts"),
    series("encserve_late_requests", 100, model="minilm_tokenize", lane="bulk"),
    series(FAILURE, 400, model="minilm", reason="OTHER"),
]


@pytest.mark.parametrize(
    ("counters", "alerts"),
    [
        ([series(FAILURE, 2 * 15, model="minilm", reason="OTHER")], {"Failures": ["minilm"]}),
        ([series(FAILURE, 2 * 8, model="minilm", reason="OTHER")], {}),  # 0.8 %, that Triton counts twice
        (
            [
                series(FAILURE, 2 * 15, model="minilm", reason="OTHER"),
                series(FAILURE, 15, model="minilm_encode", reason="BACKEND"),
                series("encserve_refused_requests", 0, model="minilm_tokenize", lane="bulk", limit="timeout"),
                series("encserve_cancel_messages", 0, model="minilm_tokenize"),
            ],
            {"Failures": ["minilm"]},  # once, and not for the step too
        ),
        ([series(FAILURE, 100, model="minilm", reason="CANCELED")], {}),
        (GIVEN_UP, {}),
        (TURNED_AWAY, {"Refusing": ["minilm"]}),
        ([*GIVEN_UP[:2], series(FAILURE, 400 + 2 * 15, model="minilm", reason="OTHER")], {"Failures": ["minilm"]}),
    ],
    ids=["failures", "few", "of a step", "cancelled", "given up", "turned away", "failures among given up"],
)
def test_each_failure_is_counted_once_and_refusals_and_cancellations_apart(tmp_path, counters, alerts):
    check_alerts(tmp_path, counters, alerts)


ANSWERED_BY_IT = [  # Triton counts answers of an ensemble as those of a version 1, whatever it serves
    series(SUCCESS, 50, model="minilm_candidate", version="1"),
    series(SUCCESS, 50, model="minilm_head", version="2"),
]


def failing(per_minute, *, model="minilm_candidate"):
    """Failures of version 2, of which Triton counts each as one of version 1, too."""
    return [series(FAILURE, per_minute, model=model, version=version, reason="OTHER") for version in "12"]


ITS_DOOR = {"model": "minilm_tokenize", "version": "2", "lane": "bulk"}


@pytest.mark.parametrize(
    ("counters", "alerts"),
    [
        (failing(5), {"Failures": ["minilm"]}),
        (failing(5, model="minilm"), {"Failures": ["minilm"]}),
        ([series(FAILURE, 2 * 15, model="minilm", reason="OTHER")], {"Failures": ["minilm"]}),
        (
            [
                series("encserve_refused_requests", 10, **ITS_DOOR, limit="max_queued_texts"),
                series("encserve_late_requests", 10, **ITS_DOOR),
                *failing(20),
            ],
            {"Refusing": ["minilm"]},
        ),
        (
            [
                series("encserve_cancelled_requests", 20, **ITS_DOOR),
                *failing(20),
            ],
            {},
        ),
    ],
    ids=["of the candidate", "once it is active", "of the active version", "turned away", "given up"],
)
def test_failures_of_a_candidate_are_those_of_a_version_of_the_pipeline(tmp_path, counters, alerts):
    """What the door says it says of the pipeline, and Triton of the model under which a candidate is asked."""
    version = "2" if 'version="2"' in str(counters) else "1"
    check_alerts(tmp_path, [*ANSWERED_BY_IT, *counters], alerts, version=version)


def test_what_waits_at_the_door_for_a_candidate_is_compared_with_its_requests(tmp_path):
    waits = busy(at_the_door=19_000, in_encode=0)
    for each in waits:
        each["series"] = each["series"].replace('model="minilm"', 'model="minilm_candidate"')
    few_of_the_active = series("nv_inference_request_duration_us", 1_000_000, model="minilm")
    check_alerts(tmp_path, [*waits, few_of_the_active], {})


def test_a_fault_of_a_step_is_seen(tmp_path):
    fault = series("encserve_internal_errors", 1, model="minilm_encode", where="network")
    check_alerts(tmp_path, [fault], {"InternalErrors": ["minilm_encode"]})


def test_a_cascade_that_was_fitted_to_something_else_is_seen(tmp_path):
    refused = series("encserve_cascade_unfit_requests", 1, model="minilm_cascade")
    check_alerts(tmp_path, [refused], {"CascadeUnfit": ["minilm"]})


@pytest.mark.parametrize(
    ("failures", "refused", "alerts"),
    [(40, 0, {"Failures": ["minilm"]}), (5, 0, {}), (200, 200, {"Refusing": ["minilm"]})],
    ids=["failures", "few", "turned away"],
)
def test_failures_of_a_cascade_are_those_of_its_pipeline(tmp_path, failures, refused, alerts):
    counters = [
        series(SUCCESS, 1_000, model="minilm_cascade"),
        series(FAILURE, 2 * failures, model="minilm", reason="OTHER"),  # which Triton counts twice
        series(FAILURE, failures, model="minilm_cascade", reason="OTHER"),
        series("encserve_refused_requests", refused, model="minilm_cascade", lane="bulk", limit="large"),
    ]
    check_alerts(tmp_path, counters, alerts)


def of_streams(count, outcome):
    """Streams of a pipeline that generates, which Triton counts as successes however they end."""
    return series("encserve_generate_requests", count, model="t5_generate", outcome=outcome, streamed="true")


@pytest.mark.parametrize(
    ("counters", "alerts"),
    [
        ([of_streams(15, "failed")], {"Failures": ["t5"]}),
        ([of_streams(5, "failed")], {}),
        ([series(FAILURE, 2 * 15, model="t5", reason="OTHER")], {"Failures": ["t5"]}),
        ([of_streams(200, "cancelled")], {}),
        ([of_streams(100, "cancelled"), of_streams(15, "invalid")], {"Failures": ["t5"]}),
        (
            [
                of_streams(50, "late"),
                of_streams(50, "refused"),
                series("encserve_refused_requests", 50, model="t5_generate", lane="bulk", limit="timeout"),
            ],
            {"Refusing": ["t5"]},
        ),
        ([series("nv_inference_queue_duration_us", 10**6, model="t5_generate")], {}),
    ],
    ids=["failures", "few", "whole texts", "given up", "failures among given up", "turned away", "bursts"],
)
def test_streams_that_fail_are_failures_of_their_pipeline(tmp_path, counters, alerts):
    whole = series("encserve_generate_requests", 500, model="t5_generate", outcome="answered", streamed="false")
    read = series("nv_inference_compute_infer_duration_us", 1_000, model="t5_generate")
    check_alerts(tmp_path, [whole, of_streams(500, "answered"), read, *counters], alerts, failing="t5")


@pytest.mark.parametrize(("in_time", "alerts"), [(940, {"SlowFirstTokens": ["t5"]}), (960, {})], ids=["slow", "few"])
def test_first_tokens_that_come_late_are_seen(tmp_path, in_time, alerts):
    up_to = {"0.5": 500, "1.0": in_time, "1.5": in_time, "2.0": 1_000, "+Inf": 1_000}
    labels = {"model": "t5_generate", "lane": "interactive"}
    name = "encserve_generate_first_token_seconds_bucket"
    check_alerts(tmp_path, [series(name, count, le=le, **labels) for le, count in up_to.items()], alerts)


@pytest.mark.parametrize(("waiting", "alerts"), [(41, {"TextsWait": ["t5"]}), (39, {})], ids=["many", "few"])
def test_texts_that_wait_for_a_whole_text_to_end_are_seen(tmp_path, waiting, alerts):
    gauges = [
        steady("encserve_generate_waiting_texts", waiting, model="t5_generate", lane="interactive"),
        steady("encserve_generate_waiting_texts", 10**6, model="t5_generate", lane="bulk"),
        steady("encserve_generate_active_rows", 30, model="t5_generate", lane="interactive"),
        steady("encserve_generate_active_rows", 10, model="t5_generate", lane="bulk"),
    ]
    check_alerts(tmp_path, gauges, alerts)


def steady(name, value, **labels):
    """A gauge that stays for twenty minutes."""
    return {**series(name, 0, **labels), "values": f"{value}x20"}


@pytest.mark.parametrize(
    ("tokens", "alerts"), [(900, {}), (2_000, {"WorkWaits": ["minilm"]})], ids=["little work", "two seconds of work"]
)
def test_slow_answers_are_seen_by_the_work_that_waits(tmp_path, tokens, alerts):
    work = [
        steady("encserve_waiting_tokens", tokens, model="minilm_tokenize", lane="interactive"),
        steady("encserve_waiting_tokens", 200, model="minilm_encode", lane="interactive"),
        steady("encserve_waiting_tokens", 10**6, model="minilm_encode", lane="bulk"),
        steady("encserve_tokens_per_second", 0, model="minilm_tokenize", lane="interactive"),
        steady("encserve_tokens_per_second", 1_100, model="minilm_encode", lane="interactive"),
    ]
    check_alerts(tmp_path, work, alerts)


@pytest.mark.parametrize("step", ["generate", "cascade"])
def test_work_that_waits_in_a_pipeline_of_one_step_is_its_own(step, tmp_path):
    """Not that of whoever else has such a step, by whose rate it would be divided."""
    work = [
        steady("encserve_waiting_tokens", 2_000, model=f"topics_{step}", lane="interactive"),
        steady("encserve_tokens_per_second", 1_000, model=f"topics_{step}", lane="interactive"),
        steady("encserve_waiting_tokens", 10, model="t5_generate", lane="interactive"),
        steady("encserve_tokens_per_second", 10**6, model="t5_generate", lane="interactive"),
    ]
    check_alerts(tmp_path, work, {"WorkWaits": ["topics"]})


def test_work_that_waited_for_a_moment_is_no_reason_to_add_a_replica(tmp_path):
    """A pipeline that computes now and then tells its rate at those moments alone."""
    waiting = steady("encserve_waiting_tokens", 2_000, model="minilm_tokenize", lane="interactive")
    rate = series("encserve_tokens_per_second", 0, model="minilm_encode", lane="interactive")
    check_alerts(tmp_path, [waiting, {**rate, "values": "0x18 1000x1"}], {})


@pytest.mark.parametrize(
    ("lane", "in_time", "alerts"),
    [
        ("interactive", 980, {"SlowAnswers": ["minilm"]}),
        ("interactive", 995, {}),
        ("bulk", 980, {}),
    ],
    ids=["slow", "few", "in bulk"],
)
def test_slow_answers_are_seen_by_how_long_they_took(tmp_path, lane, in_time, alerts):
    """Of a thousand a minute so many within a second, and all within two."""
    up_to = {"0.5": 500, "1.0": in_time, "2.0": 1_000, "+Inf": 1_000}
    labels = {"model": "minilm_head", "pipeline": "minilm", "version": "1", "lane": lane}
    answers = [
        series("encserve_request_duration_seconds_bucket", count, le=le, **labels) for le, count in up_to.items()
    ]
    check_alerts(tmp_path, answers, alerts)


def test_a_server_that_is_started_again_and_again_is_seen(tmp_path):
    """Each pipeline tells of the same starts, of which several may come between two looks."""
    again = {"Restarting": [None]}
    for values, alerts in (("0 0 0 1 1 2 2x14", again), ("0 0 0 2 2x16", again), ("0 0 0 1 1x16", {})):
        restarts = [
            {"series": f'encserve_restarts{{model="{name}_tokenize", instance="one"}}', "values": values}
            for name in ("minilm", "ranker")
        ]
        check_alerts(tmp_path, restarts, alerts, at="12m")


def test_a_server_that_others_start_again_and_again_is_seen(tmp_path):
    answers = {
        "series": 'nv_inference_request_success{model="other", instance="one"}',
        "values": "0 9 9 2 5 5 1 3 4x13",
    }
    check_alerts(tmp_path, [answers], {"Restarting": [None]}, at="12m")
    check_alerts(tmp_path, [{**answers, "values": "0 9 9 2 5 5 6 7 8x13"}], {}, at="12m")


@pytest.mark.parametrize(
    ("up", "alerts"), [("1x20", {}), ("1x9 0x10", {"NoServer": [None]}), (None, {"NoServer": [None]})]
)
def test_a_server_that_is_gone_is_seen(tmp_path, up, alerts):
    """Also where Prometheus knows none, as in a cluster where no pod could be placed."""
    servers = [] if up is None else [answering("one", up)]
    check_alerts(tmp_path, [*servers, answering("elsewhere", "1x20", job="gateway")], alerts)


@pytest.mark.parametrize(("up", "alerts"), [("1x9 0x10", {"ServerGone": [None]}), ("0x20", {})])
def test_one_server_of_several_that_is_gone_is_seen(tmp_path, up, alerts):
    """And not one that never was there: a pod that starts, or the other service of the compose file."""
    check_alerts(tmp_path, [answering("one", up), answering("two", "1x20")], alerts)


def answering(instance, up, *, job="triton"):
    """Whether a server answers Prometheus, minute by minute."""
    return {"series": f'up{{job="{job}", instance="{instance}"}}', "values": up}


def busy(*, at_the_door, in_encode):
    """Microseconds in a minute that requests waited in our own steps, each of a thousand computed for 10 ms; Triton saw
    no waiting."""
    waiting, computing = "queue_duration_us", "compute_infer_duration_us"
    whole = 1_000 * (10_000 + at_the_door + in_encode)
    return [
        series(f"encserve_{waiting}", 1_000 * at_the_door, model="minilm_tokenize"),
        series(f"encserve_{computing}", 1_000 * 100, model="minilm_tokenize"),
        series(f"encserve_{waiting}", 1_000 * in_encode, model="minilm_encode"),
        series(f"encserve_{computing}", 1_000 * 10_000, model="minilm_encode"),
        series("nv_inference_request_duration_us", whole, model="minilm"),
        *(series(f"nv_inference_{waiting}", 100, model=f"minilm_{step}") for step in ("tokenize", "encode")),
        *(series(f"nv_inference_{computing}", 1_000, model=f"minilm_{step}") for step in ("tokenize", "encode")),
    ]


@pytest.mark.parametrize(
    ("counters", "alerts"),
    [
        (busy(at_the_door=1_000, in_encode=5_000), {}),
        (busy(at_the_door=19_000, in_encode=0), {}),  # many times as long as it is tokenized
        (busy(at_the_door=25_000, in_encode=0), {"Queueing": ["minilm"]}),
        (busy(at_the_door=0, in_encode=25_000), {"Queueing": ["minilm_encode"]}),
        (
            [
                series("nv_inference_queue_duration_us", 30_000, model="minilm_encode"),
                series("nv_inference_compute_infer_duration_us", 10_000, model="minilm_encode"),
            ],
            {"Queueing": ["minilm_encode"]},
        ),
    ],
    ids=["little", "some", "at the door", "in the encode step", "in Triton"],
)
def test_waiting_is_seen_wherever_it_is(tmp_path, counters, alerts):
    check_alerts(tmp_path, counters, alerts)


def labels_of(alert, model, version):
    """Those of an alert for a model, or for none."""
    return {
        "NoServer": {},
        "ServerGone": {"instance": "one", "job": "triton"},
        "Restarting": {"instance": "one"},
        "WorkWaits": {"pipeline": model},
        "SlowAnswers": {"pipeline": model},
        "SlowFirstTokens": {"pipeline": model},
        "TextsWait": {"pipeline": model},
        "InternalErrors": {"model": model, "where": "network"},
        "Failures": {"model": model, "version": version},
    }.get(alert, {"model": model})


def check_alerts(tmp_path, counters, alerts, *, at="20m", version="1", failing="minilm"):
    """A thousand requests a minute are answered; which alerts there are after twenty, and of which models."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on PATH (Debian: apt-get install prometheus)")
    answered = [series(SUCCESS, 1_000, model=f"minilm{step}") for step in ("", "_tokenize", "_encode", "_head")]
    if not any(each["series"].startswith("up{") for each in counters):
        answered.append(answering("one", "1x20"))
    summary = {
        "NoServer": "No Triton answers to Prometheus.",
        "ServerGone": "one does not answer to Prometheus; the others carry its requests.",
        "Restarting": "one was started again 2 times in 15 minutes; its log says why.",
        "WorkWaits": "2.0 s of interactive work have waited for {model} for five minutes; add a replica.",
        "SlowAnswers": "One in a hundred interactive requests to {model} takes 1.5 s or longer.",
        "SlowFirstTokens": "One in twenty interactive texts of {model} waits 1.6 s or longer for its first token.",
        "TextsWait": "41 interactive texts wait for {model}, more than it decodes; add a replica.",
        "CascadeUnfit": "{model} refused 5 requests: a pipeline that it asks is not what it was fitted to.",
        "InternalErrors": "{model} had 5 faults of its own in network; its log says where in the code.",
        "Failures": f"More than 1 % of the requests to version {version} of {failing} fail.",
        "Refusing": f"{failing} turns more than 1 % of its requests away, because too much waits; add a replica.",
        "Queueing": "Requests to {model} wait more than twice as long as they compute; add a replica.",
    }
    expected = [
        {
            "eval_time": at,
            "alertname": name,
            "exp_alerts": [
                {
                    "exp_labels": labels_of(name, model, version),
                    "exp_annotations": {
                        "summary": said.format(model=model),
                        "runbook": f"docs/runbooks.md#{name.lower()}",
                    },
                }
                for model in alerts.get(name, [])
            ],
        }
        for name, said in summary.items()
    ]
    tests = {
        "rule_files": [str(MONITORING / "alerts.yml")],
        "evaluation_interval": "30s",
        "tests": [{"interval": "1m", "input_series": [*answered, *counters], "alert_rule_test": expected}],
    }
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(tests))
    run = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_query_asks_for_at_least_one_metric():
    asked = list(queries())
    assert len(asked) >= 14
    for query in asked:
        assert METRIC.search(query) or re.search(r"\bup\{|pipeline:|^ALERTS$", query), query


def test_nothing_is_recorded_twice():
    recorded = [rule["record"] for rule in rules() if "record" in rule]
    assert len(recorded) == len(set(recorded))


def test_prometheus_scrapes_the_servers_of_the_compose_file(compose):
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    targets = [
        target for job in config["scrape_configs"] for group in job["static_configs"] for target in group["targets"]
    ]
    assert [target.rpartition(":")[0] for target in targets] == ["triton", "triton-cpu", "gateway"]
    for name in ("triton", "triton-cpu", "gateway", "prometheus", "grafana"):
        assert "metrics" in compose["services"][name]["networks"]
    assert set(config["rule_files"]) == {"alerts.yml", "drift.yml", "slo.yml"}


def test_every_alert_has_its_runbook_and_every_runbook_its_alert():
    alerts = {rule["alert"]: rule["annotations"]["runbook"] for rule in rules() if "alert" in rule}
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbooks.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(alerts)
    assert alerts == {name: f"docs/runbooks.md#{name.lower()}" for name in alerts}
