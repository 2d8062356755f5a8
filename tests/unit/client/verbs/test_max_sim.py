"""Scores of documents whose vectors of tokens were kept."""

from dataclasses import replace

import numpy as np
import pytest

from encserve import InvalidInput, TokenEmbeddings


def embeddings(*vectors, version="1"):
    counts = np.ones(len(vectors), np.int32)
    return TokenEmbeddings(
        vectors=[np.array(own, np.float32).reshape(-1, 2) for own in vectors],
        offsets=[np.zeros((len(own), 2), np.int32) for own in vectors],
        token_counts=counts,
        dropped_counts=counts * 0,
        window_counts=counts,
        model="colbert",
        version=version,
        certificate="",
    )


@pytest.fixture
def queries():
    return embeddings([[1, 0], [0, 2]], [[-1, 1]], [])


@pytest.fixture
def documents():
    return embeddings([[1, 1], [3, -1]], [[0, -1]])


def test_each_vector_of_a_query_counts_with_the_nearest_of_the_document(queries, documents):
    scores = queries.scores(documents)
    assert scores.tolist() == [[3 + 2, 0 - 2], [0, -1], [0, 0]]
    assert scores.dtype == np.float32


def test_no_texts_have_no_scores(queries):
    none = embeddings(version="")
    assert queries.scores(none).shape == (3, 0)
    assert none.scores(queries).shape == (0, 3)


def test_vectors_alone_are_enough_as_an_index_gives_them_back(queries, documents):
    kept = [np.array(own) for own in documents.vectors]
    assert queries.scores(kept).tolist() == queries.scores(documents).tolist()
    assert queries.scores(np.stack([own[:1] for own in kept])).shape == (3, 2)
    assert queries.scores([]).shape == (3, 0)


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        ([np.zeros(0, np.float32)], r"are of shape \(0,\), expected an array \(tokens, width\)"),
        (np.zeros((3, 2), np.float32), r"are of shape \(2,\), expected an array \(tokens, width\)"),
        ([[[1.0, 0.0]]], r"are a list, expected an array \(tokens, width\)"),
        ([np.zeros((1, 2))], "are float64, expected float32"),
        ([np.zeros((1, 3), np.float32)], "vectors of 2 and of 3 numbers do not compare"),
    ],
)
def test_vectors_that_are_none(queries, documents, words):
    with pytest.raises(InvalidInput, match=words):
        queries.scores(documents)


def test_what_does_not_compare(queries, documents):
    with pytest.raises(InvalidInput, match="the queries are by colbert version 1, the documents by colbert version 2"):
        queries.scores(replace(documents, version="2"))
    with pytest.raises(InvalidInput, match="the vectors are int8, expected float32"):
        queries.scores(replace(documents, vectors=[own.astype(np.int8) for own in documents.vectors]))
    with pytest.raises(InvalidInput, match="vectors of 1 and of 2 numbers do not compare"):
        queries.scores(replace(documents, vectors=[own[:, :1] for own in documents.vectors]))
