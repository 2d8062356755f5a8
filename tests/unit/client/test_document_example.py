"""The example that answers a question from documents, before pipelines that answer by a rule."""

import sys

import pytest
from examples import answer_from_documents as example
from unit.gateway.pipelines import PIPELINES, answer

from encserve import Client
from encserve.testing import FakeTransport

TEXT = "One two\nthree.\n\nFour five six seven.\n\n\n\nEight.\n"


@pytest.fixture
def said(monkeypatch, capsys, tmp_path):
    """What the example prints about TEXT."""
    file = tmp_path / "a.md"
    file.write_text(TEXT)
    models = ["--embedder=embed", "--reranker=rerank", "--generator=generate", "--passages=2"]
    monkeypatch.setattr(sys, "argv", ["example", "who?", str(file), *models])
    transport = FakeTransport(answer, pipelines=PIPELINES)
    monkeypatch.setattr(example, "Client", lambda url: Client(transport=transport))
    example.main()
    return capsys.readouterr()


def test_an_answer_and_where_it_stands(said):
    """The reranker of the fake likes long passages, and the T5 says its prompt in capitals."""
    prompt = (
        "Answer the question from the passages. Question: who? Passages: [1] Four five six seven. [2] One two three."
    )
    assert said.out == f"{prompt.upper()}\n[1] a.md:4\n[2] a.md:1\n"
    assert said.err == "12 tokens of the passages did not fit into generate\n"
