"""Scores of documents by what `embed_hybrid` gives; FlagEmbedding's own are in `tests/export/hybrid`."""

from dataclasses import replace

import numpy as np
import pytest

from encserve import HybridEmbeddings, InvalidInput

RANDOM = np.random.default_rng(5)


def embeddings(*terms, version="1"):
    """Texts with these terms, each an id and its weight, and vectors by chance."""
    counts = np.full(len(terms), 3, np.int32)
    return HybridEmbeddings(
        vectors=RANDOM.normal(size=(len(terms), 4)).astype(np.float32),
        token_ids=[np.array([id_ for id_, _ in own], np.int32) for own in terms],
        weights=[np.array([weight for _, weight in own], np.float32) for own in terms],
        token_vectors=[RANDOM.normal(size=(2 + len(own), 5)).astype(np.float32) for own in terms],
        offsets=[np.zeros((2 + len(own), 2), np.int32) for own in terms],
        token_counts=counts,
        dropped_counts=counts * 0,
        window_counts=counts // counts,
        model="m3",
        version=version,
        certificate="",
    )


@pytest.fixture
def queries():
    return embeddings([(7, 2.0), (3, 1.0)], [])


@pytest.fixture
def documents():
    return embeddings([(3, 4.0), (7, 0.5), (9, 8.0)], [], [(9, 1.0)])


def test_each_kind(queries, documents):
    scores = queries.scores(documents)
    np.testing.assert_allclose(scores.dense, queries.vectors @ documents.vectors.T, rtol=1e-6)
    assert scores.sparse.tolist() == [[5, 0, 0], [0, 0, 0]]
    for row, query in enumerate(queries.token_vectors):
        for column, document in enumerate(documents.token_vectors):
            expected = np.mean([max(one @ other for other in document) for one in query])
            np.testing.assert_allclose(scores.tokens[row, column], expected, rtol=1e-5)
    np.testing.assert_allclose(scores.combined, (scores.dense + scores.sparse + scores.tokens) / 3, rtol=1e-5)
    assert scores.combined.dtype == np.float32


def test_no_texts_have_no_scores(queries):
    none = embeddings(version="")
    assert queries.scores(none).combined.shape == (2, 0)
    scores = none.scores(queries)
    assert {each.shape for each in (scores.dense, scores.sparse, scores.tokens, scores.combined)} == {(0, 2)}


def test_weights_of_what_is_there(queries, documents):
    scores = replace(queries, vectors=None).scores(documents, weights=(5, 1, 3))
    assert scores.dense is None
    np.testing.assert_allclose(scores.combined, (scores.sparse + 3 * scores.tokens) / 4, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "weights", "message"),
    [
        ({}, (1, 1), "expected three finite numbers"),
        ({}, (1, -1, 1), "none below 0"),
        ({}, (1, float("nan"), 1), "expected three finite numbers"),
        ({}, (0, 0, 0), "none that queries and documents both have has a weight above 0"),
        ({"vectors": None, "token_ids": None, "token_vectors": None}, (1, 1, 1), "none that queries"),
        ({"version": "2"}, (1, 1, 1), "documents by m3 version 2: their vectors do not compare"),
        ({"vectors": np.ones((3, 5), np.float32)}, (1, 1, 1), "vectors of 4 and of 5 numbers"),
        ({"vectors": np.ones((3, 4), np.int8)}, (1, 1, 1), "the vectors are int8, expected float32"),
    ],
)
def test_what_cannot_be_scored_is_refused(queries, documents, change, weights, message):
    with pytest.raises(InvalidInput, match=message):
        queries.scores(replace(documents, **change), weights=weights)
