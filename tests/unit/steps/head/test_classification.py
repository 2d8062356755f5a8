import numpy as np
import pytest

from encserve_server.steps.head.answers.labels.classification import Head
from encserve_server.steps.head.answers.labels.ranking import Head as RankingHead
from encserve_server.steps.head.answers.scores import sigmoid, softmax

LOGITS = {
    "logits": np.array([[0.0, 2.0, -1.0], [5.0, 5.0, 1000.0]], np.float32),
    "lengths": np.array([3, 1]),
    "window_count": np.array([1, 1], np.int32),
}


def classify(activation, top_k=None):
    return Head({"labels": ["a", "ä", "c"], "activation": activation}).answer(LOGITS, {"top_k": top_k})


def test_labels_by_descending_score_and_equal_ones_in_their_order():
    answer = classify("softmax")
    assert answer["label"].tolist() == [["ä".encode(), b"a", b"c"], [b"c", b"a", "ä".encode()]]
    assert answer["score"].dtype == np.float32
    np.testing.assert_allclose(answer["score"].sum(1), 1, rtol=1e-6)


def test_probabilities_stand_beside_scores_in_their_order():
    head = Head({"labels": ["a", "b", "c"], "activation": "softmax", "temperature": 2.0})
    answer = head.answer(LOGITS, {"top_k": 2, "probabilities": True})
    assert answer["label"].shape == (2, 2)
    assert answer["score"].dtype == np.float32
    scores, probabilities = np.split(answer["score"], 2, axis=1)
    np.testing.assert_array_equal(scores, classify("softmax", top_k=2)["score"])
    expected = -np.sort(-softmax(LOGITS["logits"] / 2))[:, :2]
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6)
    assert head.answer(LOGITS, {"top_k": 2, "probabilities": False})["score"].shape == (2, 2)


def test_each_label_by_itself():
    assert classify("sigmoid")["score"][0] == pytest.approx([0.880797, 0.5, 0.268941], abs=1e-6)


def test_bare_scores():
    assert classify("none", top_k=1)["score"].tolist() == [[2.0], [1000.0]]


def test_no_logit_is_too_large():
    huge = np.array([[-1e4, 1e4, 0.0]], np.float32)
    assert sigmoid(huge).tolist() == [[0.0, 1.0, 0.5]]
    assert softmax(huge).tolist() == [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize(("top_k", "order"), [(None, [2, 0, 1, 3]), (2, [2, 0]), (99, [2, 0, 1, 3])])
def test_ranking(top_k, order):
    """The first two saturate to the same score: their logits still tell them apart."""
    logits = np.array([[40.0], [-1.0], [50.0], [-2.0]], np.float32)
    answer = RankingHead({"activation": "sigmoid"}).answer({"logits": logits}, {"top_k": top_k})
    assert answer["index"].tolist() == order
    assert answer["index"].dtype == np.int32
    assert (np.diff(answer["score"]) <= 0).all()


def test_windows_count_as_much_as_they_have_tokens():
    answer = Head({"labels": ["a", "b", "c"], "activation": "none"}).answer(
        {**LOGITS, "window_count": np.array([2], np.int32)}, {"top_k": None}
    )
    assert answer["label"].tolist() == [[b"c", b"b", b"a"]]
    assert answer["score"].tolist() == [[(3 * -1 + 1000) / 4, (3 * 2 + 5) / 4, 5 / 4]]
