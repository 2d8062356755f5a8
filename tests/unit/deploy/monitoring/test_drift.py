"""Texts and answers of another kind than a week ago: which alerts there are, in Prometheus's own arithmetic, and how
often there are any by chance."""

import numpy as np
import pytest
from deploy_files import MONITORING
from promtool import tried

WEEK = 7 * 24
ALERTS = ("TextsDrift", "AnswersDrift")
MARGIN, WIDTH, LEAST = 0.1, 4.6, 100
"""What the rules have: a margin, by how much chance widens it, and the least texts of an hour."""


def counter(name, *parts, **labels):
    """A counter that grows by so much an hour for so many hours, part after part, four times an hour."""
    inside = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    values, reached = [], 0.0
    for an_hour, hours in parts:
        values.append(f"{reached}+{an_hour / 4}x{4 * hours - 1}")
        reached += an_hour * hours
    return {"series": f"{name}{{{inside}}}", "values": " ".join(values)}


def texts(an_hour, short_before, short_now, *, hours=WEEK + 4):
    """Texts of which a share has up to 8 tokens; it is another one for the last four hours."""
    labels = {"model": "minilm_tokenize", "version": "1"}
    short = [(an_hour * short_before, hours - 4), (an_hour * short_now, 4)]
    return [
        counter("encserve_text_tokens_count", (an_hour, hours), **labels),
        counter("encserve_text_tokens_bucket", *short, le="8.0", **labels),
        counter("encserve_text_scripts", (an_hour, hours), script="Latin", **labels),
        counter("encserve_cut_texts", (0, hours), **labels),
        counter("encserve_unknown_texts", (0, hours), **labels),
    ]


def pairs(an_hour, latin_before, latin_now):
    """Pairs of texts, a share of whose texts begin in Latin letters and the others in Greek ones."""
    labels = {"model": "minilm_tokenize", "version": "1"}
    scripts = [
        counter("encserve_text_scripts", (2 * an_hour * before, WEEK), (2 * an_hour * now, 4), script=script, **labels)
        for script, before, now in (("Latin", latin_before, latin_now), ("Greek", 1 - latin_before, 1 - latin_now))
    ]
    return [counter("encserve_text_tokens_count", (an_hour, WEEK + 4), **labels), *scripts]


def labelled(an_hour, before, now, *, version="1"):
    labels = {"model": "topics_head", "version": version}
    return [
        counter("encserve_first_labels", (an_hour * before, WEEK), (an_hour * now, 4), label="a", **labels),
        counter("encserve_first_labels", (an_hour * (1 - before), WEEK), (an_hour * (1 - now), 4), label="b", **labels),
    ]


def alerts_of(tmp_path, series):
    fires = 'count by (alertname, of) (ALERTS{alertstate="firing"})'
    asked = {"eval_time": f"{WEEK + 3}h", "expr": fires, "exp_samples": []}
    tests = {
        "rule_files": [str(MONITORING / "drift.yml")],
        "evaluation_interval": "1h",
        "tests": [{"interval": "15m", "input_series": series, "promql_expr_test": [asked]}],
    }
    code, said = tried(tmp_path, tests)
    assert code == 0 or "got:" in said, said
    return {
        (alert, of)
        for alert in ALERTS
        for of in ("length", "script", "cut", "unknown tokens", "labels")
        if f'{{alertname="{alert}", of="{of}"}}' in said
    }


@pytest.mark.parametrize(
    ("series", "alerts"),
    [
        (texts(10_000, 0.3, 0.5), {("TextsDrift", "length")}),
        (texts(10_000, 0.3, 0.35), set()),
        (texts(1_000, 0.3, 0.3), set()),
        (texts(80, 0.0, 1.0), set()),
        (texts(10_000, 0.0, 1.0, hours=8), set()),
        (pairs(10_000, 0.5, 0.7), {("TextsDrift", "script")}),
        (pairs(10_000, 0.5, 0.57), set()),
        (labelled(10_000, 0.5, 0.8), {("AnswersDrift", "labels")}),
        (labelled(10_000, 0.5, 0.5), set()),
        (labelled(80, 0.0, 1.0), set()),
    ],
    ids=[
        "other lengths",
        "hardly other lengths",
        "the same",
        "few texts",
        "no week before",
        "pairs in other scripts",
        "pairs in hardly other scripts",
        "other labels",
        "the same labels",
        "few answers",
    ],
)
def test_what_differs_from_a_week_ago_is_told_where_there_is_enough_of_it(tmp_path, series, alerts):
    assert alerts_of(tmp_path, series) == alerts


def test_the_rules_have_the_figures_that_are_simulated_here():
    rules = (MONITORING / "drift.yml").read_text()
    assert rules.count(f"({MARGIN} + sqrt({WIDTH} * (") == 2
    assert rules.count(f">= {LEAST})") == 5  # a mean of fewer vectors is none, either


@pytest.mark.parametrize("an_hour", [100, 1_000])
def test_chance_alone_gives_less_than_an_alert_a_month(an_hour):
    """Twenty months of hours of texts that are the same all the time, in twelve kinds of any size."""
    draws = np.random.default_rng(0)
    shares = draws.dirichlet(np.ones(12), size=20)
    alerts = 0
    for month in shares:
        now, before = (draws.multinomial(an_hour, month, size=720) / an_hour for _ in range(2))
        allowed = MARGIN + np.sqrt(WIDTH * 2 / an_hour)
        alerts += int((np.abs(now - before).max(axis=1) > allowed).sum())
    assert alerts <= 1  # of the twenty that one a month would be


def test_texts_that_come_ten_at_a_time_give_less_than_an_alert_a_month():
    """Ten texts of each caller are alike, so that an hour of 1,000 is worth 100. An alert takes an hour to fire."""
    draws = np.random.default_rng(1)
    now, before = (draws.multinomial(100, [0.5, 0.3, 0.2], size=720 * 20) / 100 for _ in range(2))
    beyond = np.abs(now - before).max(axis=1) > MARGIN + np.sqrt(WIDTH * 2 / 1_000)
    assert beyond.sum() > 20
    assert (beyond[1:] & beyond[:-1]).sum() <= 20


def test_a_fifth_of_the_traffic_from_another_domain_is_seen():
    """Mixed from two parts whose lengths differ: of 10,000 texts an hour."""
    draws = np.random.default_rng(2)
    own, other = np.array([0.6, 0.3, 0.1]), np.array([0.0, 0.1, 0.9])
    before = draws.multinomial(10_000, own, size=1_000) / 10_000
    allowed = MARGIN + np.sqrt(WIDTH * 2 / 10_000)
    mixed = draws.multinomial(10_000, 0.8 * own + 0.2 * other, size=1_000) / 10_000
    assert (np.abs(mixed - before).max(axis=1) > allowed).mean() > 0.95
