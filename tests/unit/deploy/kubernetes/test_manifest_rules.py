"""Every set of values keeps to every rule, and every rule finds what breaks it."""

import pytest
from helm_chart import render
from manifest_rules import RULES
from value_sets import OF_NEW_CLUSTERS, VALUE_SETS

ALL = {**VALUE_SETS, **OF_NEW_CLUSTERS}


@pytest.mark.parametrize("values", ALL.values(), ids=ALL)
def test_manifests_keep_to_every_rule(values):
    manifests = render(values)
    assert [f"{rule.name}: {complaint}" for rule in RULES for complaint in rule.complaints(manifests)] == []


@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_a_rule_finds_what_breaks_it(rule):
    manifests = render(rule.values)
    assert list(rule.complaints(manifests)) == []
    rule.breaks(manifests)
    assert list(rule.complaints(manifests))
