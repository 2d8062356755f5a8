"""Entities of labels of a request, each as GLiNER itself finds them.

`tests/golden/gliner/entities.json` has what the library says of the same checkpoints and texts, one text at a time; its
`make.py` asked it.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from encserve_export.reference.asking import Asker
from encserve_export.reference.messages import Asked, Library
from encserve_export.reference.networks.gliner import Gliner
from export.checkpoints.in_process import answers

from .checkpoints import gliner

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "gliner" / "entities.json").read_text(encoding="utf-8"))
TEXTS, LABELS, ASKED = GOLDEN["texts"], GOLDEN["labels"], GOLDEN["asked"]


def chosen(asked):
    """The options of a call, out of the library's own."""
    nested = {"nested": True} if asked.get("flat_ner") is False else {}
    return nested | {name: value for name, value in asked.items() if name in ("threshold", "multi_label")}


def options_of(asked):
    """Those of a request, with its labels."""
    return {"labels": json.dumps(LABELS), **chosen(asked)}


def entities_of(given):
    """For each text what the library would say of it."""
    found, begin = [], 0
    names = ("start", "end", "entity", "label", "score")
    columns = list(zip(*(given[name].tolist() for name in names), strict=True))
    for count in given["entity_count"].tolist():
        own = columns[begin : begin + count]
        found.append([(start, end, text.decode(), label.decode(), score) for start, end, text, label, score in own])
        begin += count
    return found


@pytest.fixture(scope="module", params=GOLDEN["cases"])
def case(request, tmp_path_factory):
    made = GOLDEN["cases"][request.param]
    return made, gliner(tmp_path_factory.mktemp("gliner") / "checkpoint", **made["how"])


def test_the_entities_are_those_of_the_library(case, tmp_path):
    made, folder = case
    assert any(map(any, made["answers"].values()))
    for number, (asked, expected) in enumerate(made["answers"].items()):
        given = answers(folder, tmp_path / f"{number}", options_of(ASKED[asked]), text=TEXTS)
        for ours, theirs in zip(entities_of(given), expected, strict=True):
            assert [each[:4] for each in ours] == [
                (each["start"], each["end"], each["text"], each["label"]) for each in theirs
            ], asked
            assert [each[4] for each in ours] == pytest.approx([each["score"] for each in theirs], abs=1e-5), asked


def test_logits_are_those_of_the_library(case, tmp_path):
    """Of spans those that end within the text; others have no meaning. It has those of the first texts."""
    made, folder = case
    theirs = [np.array(each) for each in made["logits"]]
    gliner = Gliner(folder)
    ends = [np.add.outer(np.arange(len(each)), np.arange(each.shape[1])) for each in theirs]
    there = [gliner.of_words | (each < len(each)) for each in ends]
    assert max(np.abs(each).max() for each in theirs) < 6, "scores are nearly 0 or 1"
    given = answers(folder, tmp_path, options_of({}), text=TEXTS)
    rows = given["logits"][given["entity_roles"] == 1].reshape(-1, gliner.network.rows, 64)[..., : len(LABELS)]
    graph = np.split(rows, np.cumsum(given["word_count"])[:-1])
    for text, right, real, ours in zip(TEXTS, theirs, there, graph, strict=False):
        ids, word_at, _ = gliner.read(text, LABELS, 336)
        reference = gliner.logits(ids, word_at).detach().numpy()
        tolerance = 1e-5 * np.abs(right).max() + 1e-5  # they are kept with five digits
        np.testing.assert_allclose(reference[real], right[real], rtol=0, atol=tolerance)
        np.testing.assert_allclose(ours[real], right[real], rtol=0, atol=tolerance)


def test_what_certificates_compare_with_says_the_same(case):
    made, folder = case
    asker = Asker(Library(folder=folder, task="zero-shot-token-classification", max_length=336))
    for asked, expected in made["answers"].items():
        options = {**options_of(ASKED[asked]), "labels": LABELS}
        answered = asker.answer(Asked({"text": TEXTS}, options))
        for (ours,), theirs in zip(answered.answers, expected, strict=True):
            assert [*ours.keys] == [(each["label"], each["start"], each["end"], each["text"]) for each in theirs], asked
            assert ours.numbers.tolist() == pytest.approx([each["score"] for each in theirs], abs=1e-5), asked
