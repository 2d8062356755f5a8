"""Fewer vectors for documents, in the client: those of sentence-transformers, and without normalising of PyLate."""

import numpy as np
import pytest
import torch
from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling

from encserve import InvalidInput, TokenEmbeddings


def embeddings(*vectors):
    offsets = [np.stack([np.arange(len(own)), np.arange(1, len(own) + 1)], 1).astype(np.int32) for own in vectors]
    counts = np.array([len(own) for own in vectors], np.int32)
    return TokenEmbeddings(
        vectors=list(vectors),
        offsets=offsets,
        token_counts=counts,
        dropped_counts=counts * 0,
        window_counts=counts * 0 + 1,
        model="colbert",
        version="1",
        certificate="c",
    )


def drawn(count, seed=0, width=24):
    """Vectors of length one, of which some are much alike, as the tokens of a word are."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, count // 3), width))
    rows = centres[rng.integers(len(centres), size=count)] + rng.normal(scale=0.4, size=(count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def ordered(rows):
    return rows[np.lexsort(np.round(rows, 5).T)]


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(("factor", "protected"), [(1, 1), (1.5, 0), (2, 1), (3, 2), (1000, 1)])
def test_the_vectors_are_those_of_sentence_transformers(factor, protected, normalize):
    theirs = HierarchicalTokenPooling(factor, num_protected_tokens=protected, normalize_embeddings=normalize)
    documents = [drawn(count, seed=count) for count in (1, 2, 3, 7, 60, 250)]
    result = embeddings(*documents).pooled(factor, protected=protected, normalize=normalize)
    for own, pooled, offsets in zip(documents, result.vectors, result.offsets, strict=True):
        expected = own if factor == 1 else theirs.pool([torch.from_numpy(own)], task="document")[0].numpy()
        assert pooled.dtype == np.float32
        np.testing.assert_allclose(ordered(pooled), ordered(expected), rtol=0, atol=1e-5)
        np.testing.assert_allclose(pooled[:protected], expected[:protected], rtol=0, atol=1e-6)
        assert len(offsets) == len(pooled)
    assert result.token_counts.tolist() == [len(own) for own in documents]


def test_what_stands_for_one_token_has_its_place():
    near = drawn(2, seed=1, width=3)
    vectors = np.stack([near[0], near[1], -near[0], near[0] + 1e-3])
    result = embeddings(vectors, vectors[:0]).pooled(1.5, protected=1)
    assert result.offsets[0].tolist() in ([[0, 1], [1, 2], [-1, -1]], [[0, 1], [-1, -1], [2, 3]])
    assert result.vectors[1].shape == (0, 3)


def test_equal_vectors_give_as_many_as_were_asked_for():
    result = embeddings(np.tile(drawn(1), (9, 1))).pooled(2)
    assert len(result.vectors[0]) == 5
    np.testing.assert_allclose(result.vectors[0], np.tile(drawn(1), (5, 1)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"pool_factor": 0.5}, "pool_factor is 0.5, expected a number, 1 or more"),
        ({"pool_factor": float("nan")}, "pool_factor is nan, expected a number"),
        ({"pool_factor": 2, "protected": -1}, "protected is -1, expected a whole number, 0 or more"),
    ],
)
def test_what_cannot_be_asked_for(asked, message):
    with pytest.raises(InvalidInput, match=message):
        embeddings(drawn(4)).pooled(**asked)
    with pytest.raises(InvalidInput, match="the vectors are int8, expected float32"):
        embeddings(drawn(4).astype(np.int8)).pooled(2)


def test_vectors_of_any_length_are_near_by_their_angles():
    vectors = drawn(60)
    lengths = np.random.default_rng(1).uniform(0.1, 9.0, (60, 1)).astype(np.float32)
    units, scaled = (embeddings(each).pooled(3) for each in (vectors, vectors * lengths))
    assert scaled.offsets[0].tolist() == units.offsets[0].tolist()
    zeros = embeddings(np.zeros((6, 4), np.float32)).pooled(2)
    assert zeros.vectors[0].tolist() == [[0.0] * 4] * 3
