"""`extract_entities`, as a method and as a command: labels travel with each request."""

import argparse
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import tomllib
from unit.client.verbs.conftest import Server, ask  # noqa: F401

from encserve import Client, Entity, InvalidInput
from encserve._commands.entities import extract
from encserve.testing import FakeTransport, fake_pipeline

PIPELINE = fake_pipeline(task="zero-shot-token-classification", dimensions=256)
PROJECT = Path(__file__).parents[4] / "pyproject.toml"


def entities(request):
    """One entity of each text but the empty ones: all of it, with the last label."""
    label = json.loads(request.parameters["labels"])[-1].encode()
    texts = [text.decode() for text in request.inputs["text"]]
    some = [text for text in texts if text]
    return {
        "entity_count": np.array([[int(bool(text)) for text in texts]], np.int32),
        "label": np.array([[label] * len(some)], object),
        "entity": np.array([[text.encode() for text in some]], object),
        "score": np.full((1, len(some)), 0.5, np.float32),
        "start": np.zeros((1, len(some)), np.int32),
        "end": np.array([[len(text) for text in some]], np.int32),
    }


def test_labels_travel_with_each_request(ask):  # noqa: F811
    options = {"threshold": 0.25, "nested": True, "multi_label": True}
    result, requests = ask(PIPELINE, entities, "extract_entities", ["Ada", "", "né"], ["x", "ä"], **options)
    assert result.entities == [[Entity("ä", 0.5, "Ada", 0, 3)], [], [Entity("ä", 0.5, "né", 0, 2)]]
    for request in requests:
        assert request.parameters == {"labels": '["x", "ä"]', "threshold": "0.25", "nested": True, "multi_label": True}


def test_labels_count_against_the_tokens_of_each_text(ask):  # noqa: F811
    """Each of four texts has three tokens, and before them 1 + 20 of the label and its marker, and 16 around."""
    pipeline = replace(PIPELINE, max_tokens_per_request=90, max_length=50)
    settings = {"texts_per_request": 8}
    _, requests = ask(pipeline, entities, "extract_entities", ["Ada"] * 4, ["x" * 20], settings=settings)
    assert [len(request.inputs["text"]) for request in requests] == [2, 2]


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([], {}, "labels is empty"),
        ("x", {}, "labels is a single str"),
        (["x"], {"threshold": "high"}, "threshold is 'high'"),
        (["x"], {"nested": 1}, "nested is 1"),
    ],
)
def test_what_is_impossible_is_refused_before_anything_is_sent(ask, labels, options, message):  # noqa: F811
    with pytest.raises(InvalidInput, match=message):
        ask(PIPELINE, entities, "extract_entities", ["a"], labels, **options)


def test_the_command_prints_a_line_for_each_text(monkeypatch, capsys):
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    command = import_module(project["entry-points"]["encserve.commands"]["extract-entities"])
    server = Server(entities)
    transport = FakeTransport(server, pipelines=[PIPELINE])
    monkeypatch.setattr(extract, "open_client", lambda arguments: Client(transport=transport))
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    arguments = ["--model", "fake", "--label", "x", "--label", "y", "--nested", "Ada", ""]
    assert command.run(parser.parse_args(arguments)) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["entities"] == [{"label": "y", "score": 0.5, "text": "Ada", "start": 0, "end": 3}]
    assert second["entities"] == []
    assert server.requests[0].parameters == {"labels": '["x", "y"]', "nested": True}


def test_what_is_said_of_labels_counts_too(ask):  # noqa: F811
    pipeline = replace(PIPELINE, max_tokens_per_request=90, max_length=50)
    settings = {"texts_per_request": 8}
    said = {"descriptions": ["y" * 10]}
    _, requests = ask(pipeline, entities, "extract_entities", ["Ada"] * 2, ["x" * 20], settings=settings, **said)
    assert [len(request.inputs["text"]) for request in requests] == [1, 1]
    assert requests[0].parameters["descriptions"] == '["yyyyyyyyyy"]'
