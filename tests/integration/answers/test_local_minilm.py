"""MiniLM in this process against the server, which has the same repository."""

import runpy
import sys
from pathlib import Path

import numpy as np

from encserve.local import Encoder
from encserve_export.texts.parts import Part, corpus_of


def test_vectors_are_those_of_the_server(repository, client):
    texts = [each.text for each in corpus_of(Part.CERTIFICATE).texts[:200]]
    with Encoder(repository, "minilm") as encoder:
        ours = encoder.embed(texts)
        assert encoder.pipeline.certificate == ours.certificate
    theirs = client.embed(texts, model="minilm")
    np.testing.assert_allclose(ours.vectors, theirs.vectors, rtol=0, atol=1e-6)
    assert ours.token_counts.tolist() == theirs.token_counts.tolist()
    assert (ours.model, ours.version, ours.certificate) == (theirs.model, theirs.version, theirs.certificate)


def test_prompts_and_cuts_are_those_of_the_server(repository, client):
    texts = ["Where is the harbour?", "a text that is longer than sixteen tokens " * 3]
    with Encoder(repository, "prompted") as encoder:
        ours = encoder.embed(texts, prompt_name="document", truncate="start")
    theirs = client.embed(texts, model="prompted", prompt_name="document", truncate="start")
    np.testing.assert_allclose(ours.vectors, theirs.vectors, rtol=0, atol=1e-6)
    assert ours.dropped_counts.tolist() == theirs.dropped_counts.tolist() != [0, 0]


def test_the_example_finds_what_says_the_same(repository, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["near_duplicates.py", str(repository), "minilm", "--pairs", "1"])
    runpy.run_path(str(Path(__file__).parents[3] / "examples/near_duplicates.py"), run_name="__main__")
    first, second = capsys.readouterr().out.splitlines()
    assert float(first.split()[0]) > 0.7
    assert first[7:] != second[7:]
