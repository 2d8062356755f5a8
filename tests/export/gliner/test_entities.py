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
LIBRARY = {"threshold": "threshold", "multi_label": "multi_label"}


def options_of(asked):
    """The options of a request, out of the library's own."""
    nested = {"nested": True} if asked.get("flat_ner") is False else {}
    others = {name: value for name, value in asked.items() if name in LIBRARY}
    return {"labels": json.dumps(LABELS), **nested, **others}


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


@pytest.mark.parametrize("asked", ASKED)
def test_the_entities_are_those_of_the_library(case, asked, tmp_path):
    made, folder = case
    given = answers(folder, tmp_path, options_of(ASKED[asked]), text=TEXTS)
    assert any(made["answers"][asked])
    for ours, theirs in zip(entities_of(given), made["answers"][asked], strict=True):
        assert [each[:4] for each in ours] == [
            (each["start"], each["end"], each["text"], each["label"]) for each in theirs
        ]
        assert [each[4] for each in ours] == pytest.approx([each["score"] for each in theirs], abs=1e-5)


def test_logits_are_those_of_the_library(case, tmp_path):
    """Those of spans that end within the text; others have no meaning. It has those of the first texts."""
    made, folder = case
    theirs = [np.array(each) for each in made["logits"]]
    there = [np.add.outer(np.arange(len(each)), np.arange(each.shape[1])) < len(each) for each in theirs]
    assert max(np.abs(each).max() for each in theirs) < 4, "scores are nearly 0 or 1"
    gliner = Gliner(folder)
    given = answers(folder, tmp_path, options_of({}), text=TEXTS)
    rows = given["logits"][given["entity_roles"] == 1].reshape(-1, gliner.network.widths, 64)[..., : len(LABELS)]
    graph = np.split(rows, np.cumsum(given["word_count"])[:-1])
    for text, right, real, ours in zip(TEXTS, theirs, there, graph, strict=False):
        ids, word_at, _ = gliner.read(text, LABELS, 336)
        reference = gliner.logits(ids, word_at).detach().numpy()
        tolerance = 1e-5 * np.abs(right).max() + 1e-5  # they are kept with five digits
        np.testing.assert_allclose(reference[real], right[real], rtol=0, atol=tolerance)
        np.testing.assert_allclose(ours[real], right[real], rtol=0, atol=tolerance)


@pytest.mark.parametrize("asked", ASKED)
def test_what_certificates_compare_with_says_the_same(case, asked):
    made, folder = case
    asker = Asker(Library(folder=folder, task="zero-shot-token-classification", max_length=336))
    options = {**options_of(ASKED[asked]), "labels": LABELS}
    answered = asker.answer(Asked({"text": TEXTS}, options))
    for (ours,), theirs in zip(answered.answers, made["answers"][asked], strict=True):
        assert [*ours.keys] == [(each["label"], each["start"], each["end"], each["text"]) for each in theirs]
        assert ours.numbers.tolist() == pytest.approx([each["score"] for each in theirs], abs=1e-5)
