"""`embed_hybrid`, and the verbs that ask the same pipelines for one of its outputs."""

import numpy as np
import pytest
from unit.client.verbs.conftest import ask  # noqa: F401

from encserve import HybridEmbeddings
from encserve.testing import fake_pipeline

M3 = fake_pipeline(task="hybrid-embedding")
DENSE = {"embedding"}
SPARSE = {"term_count", "token_id", "weight"}
TOKENS = {"token_embedding", "offsets", "vector_count"}
COUNTS = {"token_count", "dropped_count"}


def m3(request):
    """A vector of ones for each text, a term for each of its characters, and a vector of two for each of these."""
    sizes = [len(text) for text in request.inputs["text"]]
    total = sum(sizes)
    given = {
        "embedding": np.ones((1, len(sizes), 3), np.float32),
        "embedding_int8": np.ones((1, len(sizes), 3), np.int8),
        "term_count": np.array([sizes], np.int32),
        "token_id": np.arange(total, dtype=np.int32)[None],
        "weight": np.arange(total, 0, -1, dtype=np.float32)[None],
        "vector_count": np.array([sizes], np.int32),
        "token_embedding": np.arange(2 * total, dtype=np.float32).reshape(1, total, 2),
        "token_embedding_int8": np.ones((1, total, 2), np.int8),
        "offsets": np.zeros((1, total, 2), np.int32),
    }
    return {name: tensor for name, tensor in given.items() if name in request.outputs}


def test_all_of_one_pass(ask):  # noqa: F811
    result, requests = ask(M3, m3, "embed_hybrid", ["aa", "b", "ccc"])
    assert isinstance(result, HybridEmbeddings)
    assert set(requests[0].outputs) == DENSE | SPARSE | TOKENS | COUNTS
    assert requests[0].parameters == {}
    assert result.vectors.shape == (3, 3)
    assert [each.tolist() for each in result.token_ids] == [[0, 1], [2], [0, 1, 2]]
    assert [each.tolist() for each in result.weights] == [[3, 2], [1], [3, 2, 1]]
    assert [each.shape for each in result.token_vectors] == [(2, 2), (1, 2), (3, 2)]
    assert [each.shape for each in result.offsets] == [(2, 2), (1, 2), (3, 2)]


@pytest.mark.parametrize(
    ("left_out", "outputs", "none"),
    [
        ("dense", SPARSE | TOKENS, {"vectors"}),
        ("sparse", DENSE | TOKENS, {"token_ids", "weights"}),
        ("tokens", DENSE | SPARSE, {"token_vectors", "offsets"}),
    ],
)
def test_what_is_not_wanted_is_neither_asked_for_nor_there(ask, left_out, outputs, none):  # noqa: F811
    result, requests = ask(M3, m3, "embed_hybrid", ["aa", "b", "ccc"], **{left_out: False})
    assert set(requests[0].outputs) == outputs | COUNTS
    assert requests[0].parameters == {left_out: False}
    assert {name for name, value in vars(result).items() if value is None} == none
    assert len(result) == 3


def test_shorter_types_are_of_all_vectors(ask):  # noqa: F811
    result, requests = ask(M3, m3, "embed_hybrid", ["aa"], output_dtype="int8", sparse=False)
    assert set(requests[0].outputs) == {"embedding_int8", "token_embedding_int8", "offsets", "vector_count"} | COUNTS
    assert result.vectors.dtype == result.token_vectors[0].dtype == np.int8


@pytest.mark.parametrize(
    ("verb", "parameters", "outputs"),
    [
        ("embed", {"sparse": False, "tokens": False}, DENSE),
        ("embed_sparse", {"dense": False, "tokens": False}, SPARSE),
        ("embed_tokens", {"dense": False, "sparse": False}, TOKENS),
    ],
)
def test_the_verbs_for_one_output_ask_for_that_alone(ask, verb, parameters, outputs):  # noqa: F811
    result, requests = ask(M3, m3, verb, ["aa", "b"])
    assert requests[0].parameters == parameters
    assert set(requests[0].outputs) == outputs | COUNTS
    assert len(result) == 2


def test_an_empty_list_has_nothing(ask):  # noqa: F811
    result, requests = ask(M3, m3, "embed_hybrid", [])
    assert not requests
    assert len(result) == len(result.vectors) == len(result.token_vectors) == 0
