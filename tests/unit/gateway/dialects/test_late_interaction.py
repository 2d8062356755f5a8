"""Pipelines of late interaction behind the routes of rerankers, and behind those of vectors of tokens."""

import numpy as np
import pytest
from unit.gateway.asgi import post
from unit.gateway.pipelines import RERANK, answer

from encserve.testing import fake_pipeline

LATE = fake_pipeline(name="colbert", task="late-interaction", dimensions=3, max_length=64, added_tokens=20)
DOCUMENTS = ["a", "ccc", "bb"]


def late(request):
    """Of a query and documents, an order by their lengths; of other texts, a vector for each character."""
    if request.model != LATE.name:
        return answer(request)
    sizes = [len(text) for text in request.inputs["text"]]
    counts = {"token_count": np.array([sizes], np.int32), "dropped_count": np.zeros((1, len(sizes)), np.int32)}
    if request.parameters.get("rank"):
        scores = np.array(sizes[1:], np.float32)
        order = np.argsort(-scores, kind="stable")[: request.parameters.get("top_k")]
        return counts | {"index": order[None].astype(np.int32), "score": scores[order][None]}
    total = sum(sizes)
    return counts | {
        "vector_count": np.array([sizes], np.int32),
        "embedding": np.arange(3 * total, dtype=np.float32).reshape(1, total, 3),
        "offsets": np.zeros((1, total, 2), np.int32),
    }


@pytest.fixture
def gateway(fake):
    return fake(late, pipelines=(LATE,))


@pytest.mark.parametrize(
    ("path", "body", "read"),
    [
        ("/v1/rerank", {"documents": DOCUMENTS}, lambda found: [each["index"] for each in found["results"]]),
        ("/v2/rerank", {"documents": DOCUMENTS}, lambda found: [each["index"] for each in found["results"]]),
        ("/rerank", {"texts": DOCUMENTS}, lambda found: [each["index"] for each in found]),
        ("/models/colbert/rerank", {"texts": DOCUMENTS}, lambda found: [each["index"] for each in found]),
        ("/v1/text-ranking", {"documents": DOCUMENTS}, lambda found: found["indices"]),
    ],
)
async def test_every_route_of_rerankers_ranks(gateway, path, body, read):
    answered = await post(gateway.gateway, path, {"query": "q"} | body)
    assert answered.status == 200, answered.body
    assert read(answered.json) == [1, 2, 0]
    assert gateway.requests[0].parameters["rank"] is True
    assert gateway.requests[0].inputs["text"] == [b"q", b"a", b"ccc", b"bb"]


async def test_scores_of_vllm(gateway):
    answered = await post(gateway.gateway, "/score", {"text_1": "q", "text_2": DOCUMENTS})
    assert [each["score"] for each in answered.json["data"]] == [1, 3, 2]


async def test_a_reranker_is_asked_first_where_no_model_is_named(fake):
    both = fake(late, pipelines=(LATE, RERANK))
    answered = await post(both.gateway, "/v1/rerank", {"query": "q", "documents": DOCUMENTS})
    assert answered.json["model"] == "rerank"
    named = await post(both.gateway, "/v1/rerank", {"query": "q", "documents": DOCUMENTS, "model": "colbert"})
    assert named.json["model"] == "colbert"


@pytest.mark.parametrize(
    ("path", "body", "read"),
    [
        ("/embed_all", {"inputs": ["aa", "b"], "prompt_name": "query"}, lambda found: found),
        ("/models/colbert", {"inputs": ["aa", "b"], "prompt_name": "query"}, lambda found: found),
        ("/v1/token-embedding", {"texts": ["aa", "b"], "input_type": "query"}, lambda found: found["vectors"]),
        (
            "/pooling",
            {"input": ["aa", "b"], "model": "colbert", "input_type": "query"},
            lambda found: [each["data"] for each in found["data"]],
        ),
    ],
)
async def test_every_route_of_vectors_of_tokens_says_what_the_texts_are(gateway, path, body, read):
    answered = await post(gateway.gateway, path, body)
    assert answered.status == 200, answered.body
    assert read(answered.json) == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8]]]
    assert gateway.requests[0].parameters == {"input_type": "query"}


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/embed_all", {"inputs": ["a"], "prompt_name": "passage"}, "prompt_name"),
        ("/pooling", {"input": ["a"], "model": "colbert", "input_type": "passage"}, "input_type"),
    ],
)
async def test_other_kinds_of_texts_are_refused(gateway, path, body, named):
    answered = await post(gateway.gateway, path, body)
    assert answered.status in (400, 422)
    assert named in answered.body.decode()
