"""Which spans of words become entities where labels do not see each other, beside a search that looks at every pair."""

import numpy as np
import pytest

from encserve_server.steps.head.answers.entities.gliner2_entities import Head, find_spans
from encserve_server.steps.request.options import InvalidArgument

WIDTHS, PLACES = 3, 4
OPTIONS = {"labels": ["x", "y"], "threshold": 0.5, "nested": False}


def searched(scores, threshold, nested):
    """Of each label the surest first, each held against all that were taken."""
    words, widths, labels = scores.shape
    found = []
    for label in range(labels):
        spans = [
            (first, first + length, label, float(scores[first, length, label]))
            for first in range(words)
            for length in range(min(widths, words - first))
            if scores[first, length, label] >= np.float32(threshold)
        ]
        taken = []
        for span in sorted(spans, key=lambda each: -each[3]):
            if all(beside(span, other, nested) for other in taken):
                taken.append(span)
        found += taken
    return sorted(found, key=lambda each: (each[0], -each[3], each[1], each[2]))


def beside(span, other, nested):
    apart = span[0] > other[1] or other[0] > span[1]
    within = (span[0] <= other[0] and span[1] >= other[1]) or (other[0] <= span[0] and other[1] >= span[1])
    return apart or (nested and within)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("threshold", [0.1, 6 / 11])
def test_the_greedy_choice(nested, threshold):
    rng = np.random.default_rng(0)
    for _ in range(200):
        words, widths, labels = rng.integers(0, 9), rng.integers(1, 6), rng.integers(1, 4)
        scores = (rng.integers(0, 12, (words, widths, labels)) / 11).astype(np.float32)  # many of them equal
        found = find_spans(scores, threshold=threshold, nested=nested)
        assert [tuple(each) for each in found] == searched(scores, threshold, nested)


def asked(gates=(1.0, 1.0), **changes):
    """Two texts, of two words and a full stop that it got, and of that alone, in six tokens."""
    logits = np.full((6, WIDTHS, PLACES), -3, np.float32)
    logits[1, 2, 1] = 2  # to the full stop
    logits[1, 0, 0] = 1  # within that, of another label
    logits[3, 0, 0] = logits[5, 0, 0] = 9  # the full stops
    logits[1, 1, 3] = 9  # of a label that the request does not have
    logits[0, 0, 0], logits[4, 0, 0] = gates
    return {
        "logits": logits.reshape(6, -1),
        "entity_roles": np.array([3, 1, 1, 1, 3, 1]),
        "lengths": np.array([4, 2]),
        "text": np.array(["né Ada ".encode(), b""], object),
        "word_count": np.array([3, 1], np.int32),
        "word_offsets": np.array([[0, 2], [3, 6], [6, 6], [0, 0]], np.int32),
    } | changes


@pytest.fixture
def head():
    return Head({"entities": {"scores": "spans", "max_width": WIDTHS, "most_labels": PLACES}})


def test_an_entity_has_its_characters_and_a_full_stop_that_was_added_is_none(head):
    head.fit.check(asked())
    given = head.answer(asked(), OPTIONS)
    assert given["entity_count"].tolist() == [2, 0]
    assert given["label"].tolist() == [b"y", b"x"]
    assert given["entity"].tolist() == ["né Ada".encode(), "né".encode()]
    assert (given["start"].tolist(), given["end"].tolist()) == ([0, 0], [6, 2])


@pytest.mark.parametrize("gate", [0.0, -1.0])
def test_a_text_that_has_nothing_of_the_labels_has_no_entities(head, gate):
    assert head.answer(asked(gates=(gate, 1.0)), OPTIONS)["entity_count"].tolist() == [0, 0]


@pytest.mark.parametrize("roles", [[3, 1, 1, 1, 0, 1], [3, 1, 1, 1, 3, 3]])
def test_each_text_has_one_token_for_all_labels(head, roles):
    wrong = asked(entity_roles=np.array(roles))
    with pytest.raises(InvalidArgument, match=r"one of each, are expected|as many of each are expected"):
        head.answer(wrong, OPTIONS)
