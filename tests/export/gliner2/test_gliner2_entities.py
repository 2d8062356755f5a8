"""Entities of labels of a request, each as GLiNER2 itself finds them.

`tests/golden/gliner2/entities.json` has what the library says of the same checkpoints and texts, one text at a time;
its `make.py` asked it.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from encserve_export.reference.asking import Asker
from encserve_export.reference.messages import Asked, Library
from encserve_export.reference.networks.gliner2 import Gliner2
from export.checkpoints.in_process import answers
from export.gliner.test_entities import entities_of

from .checkpoints import gliner2

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "gliner2" / "entities.json").read_text(encoding="utf-8"))
TEXTS, LABELS, ASKED = GOLDEN["texts"], GOLDEN["labels"], GOLDEN["asked"]


def options_of(asked):
    """The options of a request, out of the library's own."""
    nested = {"nested": True} if asked.get("overlap_policy") == "nested" else {}
    described = {"descriptions": json.dumps(asked["descriptions"])} if "descriptions" in asked else {}
    threshold = {"threshold": asked["threshold"]} if "threshold" in asked else {}
    return {"labels": json.dumps(LABELS), **nested, **described, **threshold}


def told(text, entities):
    """What the library says of a text, within the text: it puts a full stop behind one that has none, which may be an
    entity or its end."""
    stands = [
        each | {"end": end, "text": text[each["start"] : end]}
        for each in entities
        for end in [min(each["end"], len(text.rstrip()))]
        if each["start"] < len(text.rstrip())
    ]
    order = {label: place for place, label in enumerate(LABELS)}
    return sorted(stands, key=lambda each: (each["start"], -each["confidence"], order[each["label"]]))


@pytest.fixture(scope="module", params=GOLDEN["cases"])
def case(request, tmp_path_factory):
    made = GOLDEN["cases"][request.param]
    return made, gliner2(tmp_path_factory.mktemp("gliner2") / "checkpoint", **made["how"])


@pytest.mark.parametrize("asked", ASKED)
def test_the_entities_are_those_of_the_library(case, asked, tmp_path):
    made, folder = case
    given = answers(folder, tmp_path, options_of(ASKED[asked]), text=TEXTS)
    for text, ours, theirs in zip(TEXTS, entities_of(given), made["answers"][asked], strict=True):
        right = told(text, theirs)
        assert [each[:4] for each in ours] == [
            (each["start"], each["end"], each["text"], each["label"]) for each in right
        ]
        assert [each[4] for each in ours] == pytest.approx([each["confidence"] for each in right], abs=1e-5)


def test_there_are_entities_and_some_texts_have_nothing_of_the_labels():
    assert all(any(case["answers"]["flat"]) for case in GOLDEN["cases"].values())
    found = GOLDEN["cases"]["nothing in some"]["answers"]["a low threshold"]
    assert 0 < sum(map(bool, found)) < len(TEXTS)


def test_logits_are_those_of_the_library(case, tmp_path):
    """Those of spans that end within the text, and whether there are any; others have no meaning."""
    made, folder = case
    network = Gliner2(folder)
    given = answers(folder, tmp_path, options_of({}), text=TEXTS)
    gates = given["logits"][given["entity_roles"] == 3, 0]
    rows = given["logits"][given["entity_roles"] == 1].reshape(-1, network.network.widths, 64)[..., : len(LABELS)]
    graph = np.split(rows, np.cumsum(given["word_count"])[:-1])
    for text, right, gate, ours in zip(TEXTS, made["behind"], gates, graph, strict=True):
        counts = right["counts"]
        ids, word_at, _ = network.read(text, LABELS, 1024)
        with torch.inference_mode():
            reference, margin = network.logits(ids, word_at)
        assert [gate, margin] == pytest.approx([max(counts[1:]) - counts[0]] * 2, abs=5e-5)
        if right["logits"] is None:
            assert margin <= 0
            continue
        theirs = np.array(right["logits"]).transpose(1, 2, 0)  # (w, K, c)
        assert np.abs(theirs).max() < 4, "scores are nearly 0 or 1"
        there = np.add.outer(np.arange(len(theirs)), np.arange(theirs.shape[1])) < len(theirs)
        np.testing.assert_allclose(reference.numpy()[there], theirs[there], rtol=0, atol=5e-5)
        np.testing.assert_allclose(ours[there], theirs[there], rtol=0, atol=5e-5)


@pytest.mark.parametrize("asked", ASKED)
def test_what_certificates_compare_with_says_the_same(case, asked):
    made, folder = case
    asker = Asker(Library(folder=folder, task="zero-shot-token-classification", max_length=1024))
    options = {**options_of(ASKED[asked]), **ASKED[asked], "labels": LABELS}
    answered = asker.answer(Asked({"text": TEXTS}, options))
    for text, (ours,), theirs in zip(TEXTS, answered.answers, made["answers"][asked], strict=True):
        right = told(text, theirs)
        assert [*ours.keys] == [(each["label"], each["start"], each["end"], each["text"]) for each in right]
        assert ours.numbers.tolist() == pytest.approx([each["confidence"] for each in right], abs=1e-5)
