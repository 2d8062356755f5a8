"""`encserve embed-hybrid`: a line for each text, with what was wanted of it."""

import argparse
import json
from importlib import import_module
from pathlib import Path

import pytest
import tomllib
from unit.client.hybrid.test_embed_hybrid import M3, m3
from unit.client.verbs.conftest import Server

from encserve import Client
from encserve._commands import text_command
from encserve.testing import FakeTransport

PROJECT = Path(__file__).parents[4] / "pyproject.toml"


@pytest.fixture
def command():
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    return import_module(project["entry-points"]["encserve.commands"]["embed-hybrid"])


@pytest.fixture
def run(command, monkeypatch, capsys):
    server = Server(m3)
    monkeypatch.setattr(
        text_command, "open_client", lambda arguments: Client(transport=FakeTransport(server, pipelines=[M3]))
    )

    def run(*arguments):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        assert command.run(parser.parse_args(["--model", "fake", *arguments])) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()], server.requests

    return run


def test_a_line_has_all_of_a_text(run):
    (first, second), requests = run("aa", "b")
    assert (first["vector"], first["token_ids"], first["weights"]) == ([1, 1, 1], [0, 1], [3, 2])
    assert (second["token_vectors"], second["offsets"]) == ([[4, 5]], [[0, 0]])
    assert requests[0].parameters == {}


def test_what_is_left_out_is_in_no_line(run):
    ((line,), requests) = run("--no-sparse", "--no-tokens", "aa")
    assert line.keys() & {"vector", "token_ids", "weights", "token_vectors", "offsets"} == {"vector"}
    assert requests[0].parameters == {"sparse": False, "tokens": False}
