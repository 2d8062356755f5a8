"""Targets in a file: read, and judged."""

from dataclasses import replace

import pytest
from unit.loadtest.windows import window

from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.slo import judge, read_slos


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
