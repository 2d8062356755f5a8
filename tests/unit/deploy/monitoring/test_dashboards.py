"""Grafana's dashboards: Prometheus can read what they ask, and a reader what they show."""

import json
import re

import pytest
import yaml
from deploy_files import MONITORING
from promtool import checked, tried

FILES = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))
FILLED = {"$__rate_interval": "5m", "$pipeline": ".*", "$price": "1.00"}
"""Grafana's variables -> what stands for them here."""


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def dashboard(request):
    return json.loads(request.param.read_text())


def targets(dashboard):
    return [target for panel in dashboard["panels"] for target in panel["targets"]]


def test_there_is_one_for_each_reader():
    assert [file.stem for file in FILES] == ["drift", "generation", "goals", "on_call", "steps"]
    boards = [json.loads(file.read_text()) for file in FILES]
    assert len({board["uid"] for board in boards}) == len({board["title"] for board in boards}) == len(FILES)


def test_prometheus_can_read_every_query(dashboard, tmp_path):
    queries = [target["expr"] for target in targets(dashboard)]
    for name, value in FILLED.items():
        queries = [query.replace(name, value) for query in queries]
    assert not re.findall(r"\$[a-z_]+", "".join(queries)), "a variable that the dashboard does not have"
    rules = [{"record": f"asked:{number}", "expr": query} for number, query in enumerate(queries)]
    code, said = checked(tmp_path, {"groups": [{"name": "queries", "rules": rules}]})
    assert code == 0, said


def test_every_variable_is_asked_for(dashboard):
    asked = "".join(target["expr"] for target in targets(dashboard))
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == set(re.findall(r"\$([a-z]+)", asked))


def test_panels_ask_the_provisioned_source(dashboard):
    (source,) = yaml.safe_load((MONITORING / "grafana/datasources/prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_panels_do_not_lie_on_each_other(dashboard):
    taken = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        places = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & places, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= places


def test_labels_in_legends_are_kept_by_the_query(dashboard):
    for target in targets(dashboard):
        for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
            kept = re.search(r"(?:sum|max) by \(([\w, ]+)\)", target["expr"])
            assert kept is None or label in kept[1].split(", "), target


def test_lines_of_a_fleet_can_be_told_apart(dashboard):
    for target in targets(dashboard):
        aggregated = re.search(r"\b(?:sum|max|count)\b", target["expr"])
        assert (
            aggregated
            or target.get("format") == "table"
            or re.search("{{(instance|gpu_uuid)}}", target["legendFormat"])
        )


def test_cost_and_tokens_are_what_their_panels_say(tmp_path):
    """Three servers at 1.00 an hour, of which one was away for half a day and one was there for six hours, as a pod
    that a rollout replaces, answered 100 texts a minute, of 10 tokens each, and as many of another pipeline."""
    day = 24 * 60
    label = 'model="minilm_encode", version="1"'
    series = [
        {"series": 'up{job="triton", instance="one"}', "values": f"1x{day}"},
        {"series": 'up{job="triton", instance="two"}', "values": f"1x{day // 2 - 1} 0x{day // 2}"},
        {"series": 'up{job="triton", instance="three"}', "values": f"1x{day // 4 - 1} stale"},
        {"series": f"encserve_encoded_texts{{{label}}}", "values": f"0+100x{day}"},
        {"series": 'encserve_encoded_texts{model="ranker_encode", version="1"}', "values": f"0+100x{day}"},
        {"series": f"encserve_repeated_texts{{{label}}}", "values": f"0+20x{day}"},
        {"series": f"encserve_computed_tokens{{{label}}}", "values": f"0+800x{day}"},
    ]
    expected = {("goals", "Cost of a million texts"): (42 / 288_000 * 1e6, 0.5), ("steps", "Tokens of a text"): (10, 0)}
    tests = []
    for (board, title), (value, off) in expected.items():
        panels = json.loads((MONITORING / f"grafana/dashboards/{board}.json").read_text())["panels"]
        (query,) = (panel["targets"][0]["expr"] for panel in panels if panel["title"] == title)
        for name, filled in {**FILLED, "$pipeline": "minilm"}.items():
            query = query.replace(name, filled)
        samples = [{"labels": "{}", "value": 1}]
        near = f"sum(abs(({query}) - {value})) <= bool {off}"
        tests.append({"eval_time": f"{day}m", "expr": near, "exp_samples": samples})
    code, said = tried(tmp_path, {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}]})
    assert code == 0, said
