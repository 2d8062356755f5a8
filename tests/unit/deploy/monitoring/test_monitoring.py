"""Prometheus: what it reads parses, asks for metrics that there are, and leads to a runbook."""

import re

import pytest
import yaml
from deploy_files import METRIC, MONITORING, ROOT, queries, rules
from promtool import promtool


@pytest.mark.parametrize(
    "check",
    [
        ["config", "--syntax-only", "--lint=all", "prometheus.yml"],
        ["rules", "--lint=all", "alerts.yml", "drift.yml", "slo.yml"],
    ],
    ids=["config", "rules"],
)
def test_promtool_accepts_it(check):
    code, said = promtool("check", *check, cwd=MONITORING)
    assert code == 0, said


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
