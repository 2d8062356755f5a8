"""How two answers differ: counted for each verb, from answers whose difference is known."""

import numpy as np
import pytest

from encserve import (
    Answers,
    Classifications,
    Embeddings,
    Entity,
    Fill,
    MaskFills,
    Ranking,
    Span,
    SpanEmbeddings,
    SparseEmbeddings,
    TextScores,
    TokenClassifications,
    TokenEmbeddings,
)
from encserve_gateway.shadow.differences import differences


def common(rows):
    counts = np.ones(rows, np.int32)
    return {
        "token_counts": counts,
        "dropped_counts": 0 * counts,
        "window_counts": counts,
        "model": "fake",
        "version": "1",
        "certificate": "",
    }


def labels(*rows):
    """Each row is label -> score, the first label first."""
    return Classifications(
        labels=[tuple(row) for row in rows],
        scores=np.array([list(row.values()) for row in rows], np.float32),
        **common(len(rows)),
    )


def vectors(rows):
    return Embeddings(vectors=np.array(rows), **common(len(rows)))


def test_labels():
    one = labels({"yes": 0.9, "no": 0.1}, {"yes": 0.6, "no": 0.4})
    other = labels({"yes": 0.8, "no": 0.2}, {"no": 0.7, "yes": 0.3})
    found = differences(one, other)
    assert (found.asked, found.changed) == (2, 1)
    assert found.scores == pytest.approx([0.1, 0.3])
    same = differences(one, one)
    assert (same.asked, same.changed, list(same.scores)) == (2, 0, [0.0, 0.0])


def test_vectors_of_spans():
    rows = [np.eye(2, dtype=np.float32), np.ones((1, 2), np.float32), np.empty((0, 2), np.float32)]
    places = [np.array([[0, 2], [2, 4]]), np.array([[0, 3]]), np.empty((0, 2), np.int32)]
    one = SpanEmbeddings(vectors=rows, spans=places, **common(3))
    turned = SpanEmbeddings(vectors=[rows[0][::-1], rows[1], rows[2]], spans=places, **common(3))
    found = differences(one, turned)
    assert (found.asked, found.changed, list(found.cosines)) == (3, 0, pytest.approx([0, 1]))
    moved = SpanEmbeddings(vectors=rows, spans=[places[0], places[1] + 1, places[2]], **common(3))
    found = differences(one, moved)
    assert (found.asked, found.changed, list(found.cosines)) == (3, 1, pytest.approx([1]))


def test_vectors():
    one = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    found = differences(vectors(one), vectors(2 * one))
    assert (found.asked, found.changed) == (3, 0)
    assert found.cosines == pytest.approx([1, 1, 1])
    other = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    assert differences(vectors(one), vectors(other)).changed == 1  # of the second the third is the nearest now
    wider = np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0]], np.float32)
    found = differences(vectors(one), vectors(wider))
    assert (found.asked, found.changed, list(found.cosines)) == (3, 0, [])
    assert differences(vectors(one[:2]), vectors(one[:2])).asked == 0  # two texts have no other neighbour


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_vectors_of_small_types(kind):
    rows = np.array([[1, 2], [3, 4]], kind)
    assert differences(vectors(rows), vectors(rows)).cosines == pytest.approx([1, 1])


def test_vectors_of_tokens_and_sparse_ones():
    rows = [np.eye(2, dtype=np.float32), np.ones((1, 2), np.float32)]
    offsets = [np.zeros((len(row), 2), np.int32) for row in rows]
    one = TokenEmbeddings(vectors=rows, offsets=offsets, **common(2))
    other = TokenEmbeddings(vectors=[rows[0], np.ones((2, 2), np.float32)], offsets=offsets, **common(2))
    assert differences(one, other).cosines == pytest.approx([1.0])  # the second was cut into other tokens
    ids = [np.array([3, 5], np.int32), np.array([], np.int32)]
    weights = [np.array([1, 1], np.float32), np.array([], np.float32)]
    sparse = SparseEmbeddings(token_ids=ids, weights=weights, **common(2))
    turned = SparseEmbeddings(token_ids=[np.array([3, 7], np.int32), ids[1]], weights=weights, **common(2))
    assert differences(sparse, turned).cosines == pytest.approx([0.5])


def test_rankings():
    def ranked(indices, scores):
        return Ranking(indices=np.array(indices, np.int32), scores=np.array(scores, np.float32), **common(3))

    found = differences(ranked([0, 1, 2], [0.9, 0.5, 0.1]), ranked([1, 0, 2], [0.8, 0.7, 0.1]))
    assert (found.asked, found.changed) == (1, 1)
    assert found.scores == pytest.approx([0.3])
    assert differences(ranked([], []), ranked([], [])).asked == 0


def test_entities_spans_and_tokens():
    def tagged(*entities):
        return TokenClassifications(entities=[list(entities)], **common(1))

    one = Entity(label="LOC", score=0.9, text="Rome", start=0, end=4)
    surer = Entity(label="LOC", score=1.0, text="Rome", start=0, end=4)
    assert differences(tagged(one), tagged(surer)).scores == pytest.approx([0.1])
    assert differences(tagged(one), tagged()).changed == 1

    def answered(*starts):
        spans = [[Span(text="a", score=1.0 / (1 + place), start=at, end=at + 1) for place, at in enumerate(starts)]]
        return Answers(spans=spans, no_answer_scores=np.zeros(1, np.float32), **common(1))

    assert differences(answered(0, 3), answered(0, 5)).changed == 0
    assert differences(answered(0, 3), answered(3, 0)).changed == 1

    def filled(*ids):
        return MaskFills(masks=[[[Fill(token=str(each), token_id=each, score=0.5) for each in ids]]], **common(1))

    assert differences(filled(1, 2), filled(1, 3)).changed == 0
    assert differences(filled(1, 2), filled(2, 1)).changed == 1


def test_likelihoods():
    def scored(value):
        counts = np.ones(1, np.int32)
        return TextScores(log_likelihoods=np.array([value], np.float32), scored_counts=counts, **common(1))

    assert differences(scored(-3.0), scored(-3.5)).scores == [0.5]


def test_answers_of_two_kinds_are_not_compared():
    assert differences(labels({"yes": 1.0}), vectors([[1.0]])) is None
