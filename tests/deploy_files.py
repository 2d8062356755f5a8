"""The files of the deployment, as their tools would read them."""

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
MONITORING = ROOT / "deploy" / "monitoring"
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+):-(?P<default>[^}]*)\}")
METRIC = re.compile(r"\b(?:nv|encserve)_[a-z_]+\b")


def compose_text():
    """docker-compose.yml as it is."""
    return (ROOT / "docker-compose.yml").read_text()


def read_compose():
    """docker-compose.yml with the defaults of its variables, and its anchors resolved."""
    filled = VARIABLE.sub(lambda match: match["default"], compose_text())
    assert "$" not in filled, "a variable without a default"
    return yaml.safe_load(filled)


def queries():
    """The PromQL of every dashboard and alert."""
    for file in sorted((MONITORING / "grafana" / "dashboards").glob("*.json")):
        dashboard = json.loads(file.read_text())
        yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
        variables = dashboard["templating"]["list"]
        yield from (variable["query"]["query"] for variable in variables if variable["type"] == "query")
    yield from (rule["expr"] for rule in rules())


def rules():
    """Every rule of Prometheus, those that record and those that alert."""
    for name in ("alerts.yml", "drift.yml", "slo.yml"):
        groups = yaml.safe_load((MONITORING / name).read_text())["groups"]
        yield from (rule for group in groups for rule in group["rules"])
