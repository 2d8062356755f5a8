"""The shipped rules with shorter windows: an hour passes in seconds, a week in a minute. What they compare stays."""

import re

import yaml
from deploy_files import MONITORING

SECONDS = {
    "1m": 1.5,
    "5m": 7.5,
    "10m": 9,
    "15m": 120,  # a server that is started again twice takes most of it
    "30m": 10,
    "1h": 12,
    "2h": 14,
    "6h": 16,
    "1d": 20,
    "3d": 24,
    "1w": 60,
}
"""Durations of the rules -> seconds; longer ones stay longer."""
_DURATION = re.compile(r"(?<=[\[:])\d+[mhdw](?=[\]:])|(?<=offset )\d+[mhdw]")
_PER_MINUTE = re.compile(r"(:1m\]\)) \* 60\b")


def shorter_rules(*files):
    """The rules of these files of deploy/monitoring, of all without one, as one."""
    groups = []
    for name in files or ("alerts.yml", "drift.yml", "slo.yml"):
        groups += yaml.safe_load((MONITORING / name).read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        if rule.get("alert") != "ServerGone":  # which is of a server that answered at all while this runs
            rule["expr"] = _DURATION.sub(lambda found: shorter(found[0]), _PER_MINUTE.sub(r"\1 * 1.5", rule["expr"]))
        if "for" in rule:
            rule["for"] = shorter(rule["for"])
    return {"groups": groups}


def shorter(duration):
    """A duration of the rules, as Prometheus writes it."""
    return f"{SECONDS[duration] * 1_000:.0f}ms"
