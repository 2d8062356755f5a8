"""What a certificate of entities compares: spans and labels that are there, and which of them are entities."""

from types import SimpleNamespace

import numpy as np
import pytest

from encserve_export.certificate.figures.parity import LogitParity
from encserve_export.certificate.limits import PARITY_LIMITS
from encserve_export.certificate.subject.composed import scores_there
from encserve_export.certificate.variants import variants_of
from encserve_export.config import Precision

LIMITS = PARITY_LIMITS[Precision.FP32]


def agreement_of(ours, theirs, cut=0.0):
    parity = LogitParity()
    parity.add(0, np.array(ours, np.float32), np.array(theirs, np.float32), cut)
    (figure,) = (each for each in parity.figures(LIMITS) if each.name == "argmax_agreement")
    return figure, parity.stated()


def test_spans_that_end_behind_the_text_and_labels_that_were_not_asked_for_are_not_there():
    stated = {"scores": "spans", "max_width": 3, "most_labels": 4}
    there = scores_there(np.array([0, 2, 0, 1, 0, 1, 0]), stated, 2).reshape(7, 3, 4)
    assert np.argwhere(there).tolist() == [[3, 0, 0], [3, 0, 1], [3, 1, 0], [3, 1, 1], [5, 0, 0], [5, 0, 1]]


def test_all_scores_of_words_are_there_for_labels_that_were_asked_for():
    there = scores_there(np.array([0, 2, 0, 1, 0, 1, 0]), {"scores": "words", "most_labels": 4}, 2).reshape(7, 3, 4)
    assert there[[3, 5], :, :2].all()
    assert there.sum() == 2 * 3 * 2


def test_a_lost_entity_is_seen_beside_thousands_of_spans_that_are_none():
    theirs = np.full(5_000, -9.0)
    theirs[:4] = 3.0
    ours = theirs.copy()
    ours[0] = -1.0
    figure, stated = agreement_of(ours, theirs)
    assert (figure.measured, stated["decided"], stated["changed"]) == (0.75, 4, 1)
    found, _ = agreement_of(theirs, ours)
    assert found.measured == 0.75, "one too many"
    assert agreement_of(theirs, theirs)[0].measured == 1


def test_the_threshold_of_the_request_decides():
    assert agreement_of([2.0, 0.5], [2.0, 1.5], cut=1.0)[0].measured == 0.5
    assert agreement_of([2.0, 0.5], [2.0, 1.5])[0].measured == 1


def test_where_no_span_is_an_entity_the_surest_decides():
    assert agreement_of([-5.0, -2.0], [-2.0, -5.0])[0].measured == 0
    assert agreement_of([-3.0, -5.0], [-2.0, -5.0])[0].measured == 1


@pytest.mark.parametrize(("max_length", "most"), [(512, 64), (40, 10), (2, 0)])
def test_labels_are_as_many_as_a_request_may_have_or_as_leave_room(max_length, most):
    checkpoint = SimpleNamespace(
        task=SimpleNamespace(name="zero-shot-token-classification", prompts=False),
        entities=SimpleNamespace(LABELS_COMPETE=True),
        entity_settings={"most_labels": 64},
        labelled_row=lambda text, labels: [0] * 2 * len(labels),
        max_length=max_length,
    )
    asked = [each["labels"] for each in variants_of(checkpoint) if "labels" in each]
    assert [len(labels) for labels in asked] == [most] * bool(most)


@pytest.mark.parametrize(("max_length", "described"), [(512, 2), (40, 1), (28, 0)])
def test_labels_are_described_where_that_leaves_room(max_length, described):
    checkpoint = SimpleNamespace(
        task=SimpleNamespace(name="zero-shot-token-classification", prompts=False),
        entities=SimpleNamespace(LABELS_COMPETE=False),
        entity_settings={"most_labels": 1},
        labelled_row=lambda text, labels, descriptions=(): [0] * (2 * len(labels) + 15 * len(descriptions)),
        max_length=max_length,
    )
    _, asked, _ = variants_of(checkpoint)
    assert asked["threshold"] == 0.2
    assert [len(asked.get(name, ())) for name in ("labels", "descriptions")] == [described, described]
