"""`encserve compare`: what it refuses before it asks about any text."""

import argparse
import json

import pytest

from encserve import InvalidInput
from encserve_lifecycle.comparison import command

from .two_pipelines import labels_of, pipeline, sides_of


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
