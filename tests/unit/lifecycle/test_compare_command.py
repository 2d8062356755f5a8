"""`encserve compare`: what it refuses before it asks about any text."""

import argparse
import json

import pytest

from encserve import InvalidInput
from encserve_lifecycle.comparison import command
from encserve_lifecycle.comparison.cost import read_plan

from .two_pipelines import labels_of, pipeline, sides_of


@pytest.mark.parametrize("value", ["nan", "inf", "1.5"])
def test_a_threshold_that_no_cosine_can_have_is_refused(value):
    parser = argparse.ArgumentParser(exit_on_error=False)
    command.add_arguments(parser)
    with pytest.raises(argparse.ArgumentError, match="no cosine"):
        parser.parse_args(["old", "new", "--texts", "texts.txt", "--threshold", value])


@pytest.mark.parametrize("tokens", [0, -1])
def test_a_plan_whose_replica_does_nothing_is_refused(tmp_path, tokens):
    plan = {"capacity": {"low_per_s": 1}, "tokens_per_request": tokens, "config": {"replica_cost_per_hour": 1}}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(InvalidInput, match="no plan with a capacity"):
        read_plan(tmp_path / "plan.json")


@pytest.mark.parametrize("option", ["--queries", "--threshold", "--plan"])
def test_options_that_classifiers_have_no_use_for_are_refused_by_name(tmp_path, monkeypatch, option):
    task = {"task": "text-classification", "dimensions": 2, "labels": ("no", "yes")}
    scores = labels_of({"a": {"yes": 0.9, "no": 0.1}})
    sides = sides_of([pipeline("old", **task), pipeline("new", **task)], {"old": scores, "new": scores})
    monkeypatch.setattr(command, "_sides", lambda arguments, stack: sides)
    (tmp_path / "texts.txt").write_text("a\n")
    plan = {"capacity": {"low_per_s": 1}, "tokens_per_request": 1, "config": {"replica_cost_per_hour": 1}}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    values = {"--queries": tmp_path / "texts.txt", "--threshold": 0.5, "--plan": tmp_path / "plan.json"}
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    given = [
        "old",
        "new",
        "--texts",
        tmp_path / "texts.txt",
        "--report",
        tmp_path / "page.html",
        option,
        values[option],
    ]
    with pytest.raises(InvalidInput, match=f"{option} is for pipelines of vectors"):
        command.run(parser.parse_args(list(map(str, given))))
    assert not (tmp_path / "page.html").exists()
