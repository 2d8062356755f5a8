"""Who decides about a text, and whose rows an answer has."""

import numpy as np

from encserve_server.steps.cascade.decisions import decisions_of, is_sure, merged


def test_a_score_that_is_the_threshold_is_sure():
    scores = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(0)), 1.0], np.float32)
    assert is_sure(scores, 0.5).tolist() == [True, False, True]


def test_a_threshold_between_two_numbers_of_fp32_is_none_of_them():
    below = np.float32(1 - 2**-24)
    assert is_sure(np.array([below, 1.0], np.float32), 1 - 2**-26).tolist() == [False, True]


def test_rows_of_the_large_pipeline_take_the_place_of_those_of_the_small_one():
    small = {"score": np.zeros((3, 2), np.float32), "label": np.full((3, 2), b"s", np.object_)}
    large = {"score": np.ones((2, 2), np.float32), "label": np.full((2, 2), b"large", np.object_)}
    whole = merged(small, np.array([2, 0]), large)
    assert whole["score"][:, 0].tolist() == [1, 0, 1]
    assert whole["label"][:, 1].tolist() == [b"large", b"s", b"large"]
    assert not small["score"].any(), "what the small pipeline said may be Triton's memory"


def test_decisions():
    assert decisions_of(4, np.array([1, 3]), np.array([True, False])) == ["small", "review", "small", "large"]
