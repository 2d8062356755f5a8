"""What autoscalers look at, in Prometheus's own arithmetic: one number, of this release's interactive work alone."""

import pytest
import yaml
from helm_chart import KUBERNETES, of_kind, render, scaling_queries
from promtool import tried
from value_sets import VALUE_SETS

OURS = {"namespace": "encserve", "service": "encserve-server"}


def series(name, values, *, pod="one", lane="interactive", **labels):
    labels = {"model": "minilm_tokenize", "version": "1", **OURS, "pod": pod, "lane": lane, **labels}
    inside = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    return {"series": f"{name}{{{inside}}}", "values": str(values)}


def waiting(tokens, **labels):
    return series("encserve_waiting_tokens", f"{tokens}x10", **labels)


def rate(tokens_per_second, **labels):
    labels = {"model": "minilm_encode", **labels}
    return series("encserve_tokens_per_second", f"{tokens_per_second}x10", **labels)


def refused(per_minute, **labels):
    return series("encserve_refused_requests", f"0+{per_minute}x10", limit="timeout", **labels)


def answered(per_minute, **labels):
    labels = {"model": "minilm_head", "pipeline": "minilm", **labels}
    return series("encserve_request_duration_seconds_count", f"0+{per_minute}x10", **labels)


def generated(per_minute, **labels):
    return series("encserve_generate_request_seconds_count", f"0+{per_minute}x10", model="t5_generate", **labels)


BUSY = [waiting(300), waiting(700, pod="two"), rate(500), rate(500, pod="two")]
OTHERS = [
    waiting(10**6, lane="bulk"),
    waiting(10**6, service="other-server", pod="three"),
    waiting(10**6, namespace="elsewhere"),
    rate(10**6, namespace="elsewhere"),
    refused(10**6, lane="bulk"),
    refused(10**6, service="other-server"),
]
RANKER = [waiting(3_000, model="ranker_encode"), rate(1_000, model="ranker_encode")]
IDLE = [waiting(0), rate(0), refused(0), answered(0)]


@pytest.mark.parametrize(
    ("name", "data", "value"),
    [
        ("work", BUSY, 1.0),
        ("work", [*BUSY, *OTHERS], 1.0),
        ("work", [*BUSY, waiting(1_000, model="minilm_encode")], 2.0),  # at the door, and in the encode step
        ("work", [*BUSY, *RANKER], 3.0),
        ("work", [*BUSY, waiting(900, model="t5_generate"), rate(300, model="t5_generate")], 3.0),
        ("work", IDLE, 0.0),
        ("work", [], None),
        ("work", [rate(1_000)], None),
        ("refusals", [waiting(0), refused(5), answered(95)], 0.05),
        ("refusals", [waiting(0), refused(5), answered(95), *OTHERS], 0.05),
        ("refusals", [waiting(0), refused(15), refused(15, pod="two"), answered(90, pod="two")], 0.25),
        ("refusals", [waiting(0), refused(5), answered(0)], 1.0),
        ("refusals", [waiting(0), refused(5), generated(95)], 0.05),  # of servers that only generate
        ("refusals", [waiting(0), refused(10, model="t5_generate"), answered(80), generated(110)], 0.05),
        ("refusals", IDLE, 0.0),
        ("refusals", [], None),
    ],
)
def test_each_is_one_number(tmp_path, name, data, value):
    query = scaling_queries(render(VALUE_SETS["scaled by keda"]))[name]
    samples = [] if value is None else [{"labels": "{}", "value": value}]
    asked = {"eval_time": "10m", "expr": query, "exp_samples": samples}
    code, said = tried(tmp_path, {"tests": [{"interval": "1m", "input_series": data, "promql_expr_test": [asked]}]})
    assert code == 0, said


def test_hpa_and_keda_look_at_the_same():
    """HPA by way of prometheus-adapter, which puts the namespace and the Service in."""
    rules = yaml.safe_load((KUBERNETES / "prometheus-adapter.yml").read_text())["rules"]["external"]
    of_release = ",".join(f'{label}="{value}"' for label, value in OURS.items())
    adapter = {rule["name"]["as"]: rule["metricsQuery"].replace("<<.LabelMatchers>>", of_release) for rule in rules}
    manifests = render(VALUE_SETS["scaled by hpa"])
    (scaler,) = of_kind(manifests, "HorizontalPodAutoscaler")
    metrics = {metric["external"]["metric"]["name"]: metric["external"] for metric in scaler["spec"]["metrics"]}
    assert metrics.keys() == adapter.keys()
    assert list(adapter.values()) == list(scaling_queries(render(VALUE_SETS["scaled by keda"])).values())
    assert all(each["metric"]["selector"]["matchLabels"] == {"service": OURS["service"]} for each in metrics.values())


def test_targets_are_those_of_the_values():
    limits = {"autoscaling": {"workSeconds": 0.05, "refusedShare": 0.01}}
    by_hpa, by_keda = (
        render({**VALUE_SETS[of], "autoscaling": {**VALUE_SETS[of]["autoscaling"], **limits["autoscaling"]}})
        for of in ("scaled by hpa", "scaled by keda")
    )
    (hpa,) = of_kind(by_hpa, "HorizontalPodAutoscaler")
    targets = {each["external"]["metric"]["name"]: each["external"]["target"] for each in hpa["spec"]["metrics"]}
    assert targets == {
        "encserve_interactive_work_seconds": {"type": "Value", "value": "50m"},
        "encserve_refused_share": {"type": "Value", "value": "10m"},
    }
    (keda,) = of_kind(by_keda, "ScaledObject")
    assert [each["metadata"]["threshold"] for each in keda["spec"]["triggers"]] == ["0.05", "0.01"]
