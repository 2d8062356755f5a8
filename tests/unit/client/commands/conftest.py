import sys
from importlib.metadata import EntryPoint

import pytest

from encserve import Client
from encserve.testing import FakeTransport, fake_pipeline

COMMANDS = {
    "answer": "encserve._commands.answer",
    "classify": "encserve._commands.classify",
    "classify-tokens": "encserve._commands.classify_tokens",
    "embed": "encserve._commands.embedding.embed",
    "fill-mask": "encserve._commands.fill_mask",
    "models": "encserve._commands.models",
    "rerank": "encserve._commands.rerank",
}


@pytest.fixture
def commands(monkeypatch):
    """The commands that a test finds: name -> module. A test may add to them."""
    found = dict(COMMANDS)
    monkeypatch.setattr(
        "encserve._cli.entry_points",
        lambda group: [EntryPoint(name, module, group) for name, module in found.items()],
    )
    return found


@pytest.fixture
def served(monkeypatch, model):
    """What the commands find at any address: a list of pipelines. A test may change it."""
    pipelines = [fake_pipeline()]

    def connect(url, **_):
        return Client(url, texts_per_request=2, transport=FakeTransport(model, pipelines=pipelines))

    monkeypatch.setattr("encserve._commands.server_arguments.Client", connect)
    return pipelines


@pytest.fixture
def stdin(monkeypatch, tmp_path_factory):
    with (tmp_path_factory.mktemp("input") / "stdin").open("w+b") as file:

        def feed(content):
            file.write(content)
            file.seek(0)
            monkeypatch.setattr(sys, "stdin", file)

        yield feed
