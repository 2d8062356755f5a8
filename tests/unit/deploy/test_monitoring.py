"""Prometheus and Grafana: what they read parses, and asks for metrics that are known."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from deploy_files import METRIC, MONITORING, queries

DASHBOARD = json.loads((MONITORING / "grafana" / "dashboards" / "encserve.json").read_text())


@pytest.mark.parametrize(
    "check",
    [["config", "--syntax-only", "--lint=all", "prometheus.yml"], ["rules", "--lint=all", "alerts.yml"]],
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


def test_every_query_asks_for_at_least_one_metric():
    asked = list(queries())
    assert len(asked) >= 14
    for query in asked:
        assert METRIC.search(query) or "up{" in query, query
        assert query.count("(") == query.count(")")


def test_prometheus_scrapes_the_servers_of_the_compose_file(compose):
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    targets = [
        target for job in config["scrape_configs"] for group in job["static_configs"] for target in group["targets"]
    ]
    assert [target.rpartition(":")[0] for target in targets] == ["triton", "triton-cpu"]
    for name in ("triton", "triton-cpu", "prometheus", "grafana"):
        assert "metrics" in compose["services"][name]["networks"]
    assert set(config["rule_files"]) == {"alerts.yml"}


def test_the_dashboard_asks_the_provisioned_source():
    (source,) = yaml.safe_load((MONITORING / "grafana/datasources/prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_panels_do_not_lie_on_each_other():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        places = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & places, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= places


def test_labels_in_legends_are_kept_by_the_query():
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                kept = re.search(r"sum by \(([\w, ]+)\)", target["expr"])
                assert kept is None or label in kept[1].split(", ")
