"""`embed_tokens` and `rerank` of pipelines that read queries and documents in ways of their own."""

import numpy as np
import pytest
from unit.client.verbs.conftest import texts_of

from encserve import InvalidInput
from encserve.testing import fake_pipeline

LATE = fake_pipeline(task="late-interaction", added_tokens=33)


def counts(request):
    sizes = np.array([[len(text) + 3 for text in request.inputs["text"]]], np.int32)
    return {"token_count": sizes, "dropped_count": np.zeros_like(sizes)}


def vectors(request):
    """A vector for each character."""
    sizes = [len(text) for text in request.inputs["text"]]
    total = sum(sizes)
    return {
        **counts(request),
        "vector_count": np.array([sizes], np.int32),
        "embedding": np.arange(3 * total, dtype=np.float32).reshape(1, total, 3),
        "offsets": np.zeros((1, total, 2), np.int32),
    }


def ranks(request):
    """A document's score is the number it consists of."""
    values = np.array([float(text) for text in request.inputs["text"][1:]], np.float32)
    order = np.argsort(-values, kind="stable")[: request.parameters.get("top_k")]
    return {**counts(request), "index": order[None].astype(np.int32), "score": values[order][None]}


def test_embed_tokens_has_as_many_vectors_as_are_scored(ask):
    result, requests = ask(LATE, vectors, "embed_tokens", ["aa", "b", "ccc"], input_type="query")
    assert [each.shape for each in result.vectors] == [(2, 3), (1, 3), (3, 3)]
    assert [each.shape for each in result.offsets] == [(2, 2), (1, 2), (3, 2)]
    assert result.token_counts.tolist() == [5, 4, 6]
    assert requests[0].parameters == {"input_type": "query"}
    assert "vector_count" in requests[0].outputs


def test_the_query_is_the_first_text_of_each_request(ask):
    result, requests = ask(LATE, ranks, "rerank", "qq", ["3", "15", "4"])
    assert result.indices.tolist() == [1, 2, 0]
    assert result.scores.tolist() == [15, 4, 3]
    assert result.token_counts.tolist() == [9, 10, 9], "of the query and of the document"
    assert [texts_of(request) for request in requests] == [["qq", "3", "15"], ["qq", "4"]]
    assert requests[0].parameters == {"rank": True}
    assert len(result) == len(result.window_counts) == 3


def test_the_best_of_all_requests(ask):
    result, requests = ask(LATE, ranks, "rerank", "q", ["3", "15", "4"], top_k=2)
    assert result.indices.tolist() == [1, 2]
    assert requests[0].parameters == {"rank": True, "top_k": 2}


def test_no_documents(ask):
    result, _ = ask(LATE, ranks, "rerank", "q", [])
    assert result.indices.tolist() == result.scores.tolist() == result.token_counts.tolist() == []


@pytest.mark.parametrize(
    ("limits", "documents"),
    [({"max_texts_per_request": 3}, [2, 1]), ({"max_tokens_per_request": 3 * (1 + 4 + 33)}, [2, 1])],
)
def test_the_query_counts_among_the_texts_and_the_tokens_of_a_request(ask, limits, documents):
    pipeline = fake_pipeline(task="late-interaction", added_tokens=33, **limits)
    _, requests = ask(pipeline, ranks, "rerank", "q", ["1", "2", "3"], settings={"texts_per_request": 64})
    assert [len(request.inputs["text"]) - 1 for request in requests] == documents


def test_other_verbs_are_refused(ask):
    with pytest.raises(InvalidInput, match="'fake' is for late-interaction, embed needs feature-extraction"):
        ask(LATE, vectors, "embed", ["a"])
    with pytest.raises(InvalidInput, match="is for feature-extraction, rerank needs text-ranking or late-interaction"):
        ask(fake_pipeline(), ranks, "rerank", "q", ["1"])
    with pytest.raises(InvalidInput, match="input_type is 'passage', expected one of 'query', 'document'"):
        ask(LATE, vectors, "embed_tokens", ["a"], input_type="passage")
