"""Overlap of two rankings: against hand-made lists, and against the formulas."""

import numpy as np
import pytest

from encserve_lifecycle.comparison.ranks import (
    PERSISTENCE,
    Ranked,
    gain_at,
    nearest,
    overlap,
    rank_biased_overlap,
    same_first,
)


def ranked(*orders, similarity=None):
    order = np.array(orders)
    falling = np.tile(np.linspace(1, 0, order.shape[1], dtype=np.float32), (len(order), 1))
    return Ranked(order=order, similarity=falling if similarity is None else np.array(similarity, np.float32))


def test_the_nearest_are_those_of_the_highest_cosine_and_never_the_query_itself():
    texts = np.array([[1, 0], [2, 0.1], [0, 3], [-1, 0]], np.float32)
    found = nearest(texts[:2], texts, np.array([0, 1]))
    assert found.order.tolist() == [[1, 2, 3], [0, 2, 3]]
    assert found.similarity[0, 1:].tolist() == [0, -1]


def test_many_queries_are_ranked_as_few_are():
    texts = np.random.default_rng(0).standard_normal((700, 8)).astype(np.float32)
    own = np.arange(700)
    some = nearest(texts[300:310], texts, own[300:310])
    assert (nearest(texts, texts, own).order[300:310] == some.order).all()


def test_overlap_is_the_share_of_the_first_k():
    assert overlap(ranked([0, 1, 2, 3]), ranked([1, 4, 0, 2]), 2).tolist() == [0.5]
    assert overlap(ranked([0, 1, 2, 3]), ranked([1, 0, 3, 2]), 4).tolist() == [1.0]


def test_texts_that_tie_may_change_places():
    old = ranked([0, 1, 2], similarity=[[0.9, 0.9, 0.1]])
    assert same_first(old, ranked([1, 0, 2])).all()
    assert not same_first(old, ranked([2, 0, 1])).any()
    assert overlap(old, ranked([1, 2, 0]), 1).tolist() == [1.0]


def test_rank_biased_overlap_of_equal_disjoint_and_turned_lists():
    same, other = ranked(list(range(20))), ranked(list(range(20, 40)))
    assert rank_biased_overlap(same, same) == pytest.approx([1.0])
    assert rank_biased_overlap(same, other) == pytest.approx([0.0])
    # Two ranks, the other way round: they agree on nothing at depth 1 and on all at depth 2.
    assert rank_biased_overlap(ranked([0, 1]), ranked([1, 0])) == pytest.approx([PERSISTENCE])


def test_gain_is_one_for_the_best_order_and_less_for_others():
    ids, relevant = ["a", "b", "c"], [{"a": 3.0, "b": 1.0}]
    assert gain_at(ranked([0, 1, 2]), ids, relevant) == pytest.approx([1.0])
    turned = (1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3))
    assert gain_at(ranked([1, 0, 2]), ids, relevant) == pytest.approx([turned])
    assert gain_at(ranked([2, 1, 0]), ["x", "y", "z"], relevant) == pytest.approx([0.0])
