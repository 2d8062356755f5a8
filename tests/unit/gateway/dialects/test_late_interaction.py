"""Pipelines of late interaction behind the routes of rerankers, and behind those of vectors of tokens."""

from base64 import b64decode, b64encode

import numpy as np
import pytest
from unit.gateway.asgi import post
from unit.gateway.pipelines import RERANK, answer

from encserve.testing import fake_pipeline
from encserve_gateway.shadow.shadow import Shadow

LATE = fake_pipeline(
    name="colbert",
    task="late-interaction",
    dimensions=3,
    max_length=64,
    added_tokens=20,
    option_defaults={"document_vectors": None, "dimensions": None},
)
DOCUMENTS = ["a", "ccc", "bb"]


def late(request):
    """Of a query and documents, an order by their lengths; of other texts, a vector for each character."""
    if request.model != LATE.name:
        return answer(request)
    sizes = [len(text) for text in request.inputs["text"]]
    seen = sizes[:1] if "document_vectors" in request.parameters else sizes
    counts = {"token_count": np.array([seen], np.int32), "dropped_count": np.zeros((1, len(seen)), np.int32)}
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


KEPT = [[[0.5, 1, -1]], [[1, 2, 3]] * 3, [[4, 5, 6]] * 2]
ROUTES = [
    ("/v1/rerank", "documents", lambda found: [each["index"] for each in found["results"]]),
    ("/rerank", "documents", lambda found: [each["index"] for each in found["results"]]),
    ("/rerank", "texts", lambda found: [each["index"] for each in found]),
    ("/models/colbert", "texts", lambda found: [each["index"] for each in found]),
    ("/v1/text-ranking", "documents", lambda found: found["indices"]),
]


@pytest.mark.parametrize(("path", "field", "read"), ROUTES)
@pytest.mark.parametrize("as_text", [False, True])
async def test_every_route_of_rerankers_takes_vectors_that_were_kept(fake, path, field, read, as_text):
    """Also where a cross-encoder is served, which would be asked about texts."""
    both = fake(late, pipelines=(LATE, RERANK))
    sent = [np.array(own, "<f4").tobytes() for own in KEPT]
    documents = [b64encode(own).decode() for own in sent] if as_text else KEPT
    body = {"query": "q", field: documents} | ({"document_vectors": "float32"} if as_text else {})
    answered = await post(both.gateway, path, body)
    assert answered.status == 200, answered.body
    assert read(answered.json) == [1, 2, 0]
    assert both.requests[0].parameters == {"rank": True, "document_vectors": "float32"}
    assert [b64decode(text) for text in both.requests[0].inputs["text"][1:]] == sent


async def test_integers_that_were_kept(gateway):
    body = {"query": "q", "documents": [[[-128, 127, 0]]], "document_vectors": "int8"}
    answered = await post(gateway.gateway, "/v1/rerank", body)
    assert answered.status == 200, answered.body
    assert b64decode(gateway.requests[0].inputs["text"][1]) == np.array([-128, 127, 0], np.int8).tobytes()


@pytest.mark.parametrize(("path", "field"), [(path, field) for path, field, _ in ROUTES])
@pytest.mark.parametrize(
    ("documents", "more", "words"),
    [
        ([[[1, 2, 3]], "text"], {}, "has no list of vectors at 1, of as many numbers each"),
        ([[[1, 2, 3], [1, 2]]], {}, "has no list of vectors at 0"),
        ([[1, 2, 3]], {}, "has no list of vectors at 0"),
        ([[]], {}, "has no list of vectors at 0"),
        ([[[True, False, True]]], {}, "has no list of vectors at 0"),
        ([[[1, 2, 0.5]]], {"document_vectors": "int8"}, "at 0, of as many whole numbers each"),
        ([[[1, 2, 128]]], {"document_vectors": "int8"}, "has a number at 0 that is no int8"),
        ([[[-1]]], {"document_vectors": "binary"}, "has a number at 0 that is no uint8"),
        ([[[1, 2, 3]]], {"document_vectors": "float64"}, "document_vectors is 'float64', expected one of"),
        ([[[1, 2]]], {}, "vectors of 2 columns, and 'colbert' compares those of 3"),
        ([[[1, 2, 3]]], {"model": "rerank"}, "does text-ranking, here late-interaction is asked for"),
    ],
)
async def test_what_are_no_vectors_of_the_pipeline_is_refused(fake, path, field, documents, more, words):
    if "model" in more and field == "texts":
        path, more = "/models/rerank/rerank", {}
    both = fake(late, pipelines=(LATE, RERANK))
    answered = await post(both.gateway, path, {"query": "q", field: documents} | more)
    assert answered.status in (400, 422, 424)
    assert words in answered.body.decode()
    assert both.requests == []


@pytest.mark.parametrize(
    ("path", "field", "flag"),
    [
        ("/v1/rerank", "documents", "return_documents"),
        ("/rerank", "texts", "return_text"),
    ],
)
async def test_vectors_are_no_texts_to_give_back(gateway, path, field, flag):
    answered = await post(gateway.gateway, path, {"query": "q", field: KEPT, flag: True})
    assert answered.status in (400, 422)
    assert flag in answered.body.decode()


async def test_no_other_version_is_asked_about_vectors(gateway, monkeypatch):
    offered = []
    monkeypatch.setattr(Shadow, "offer", lambda shadow, *asked: offered.append(asked))
    for documents, count in ((DOCUMENTS, 1), (KEPT, 1)):
        assert (await post(gateway.gateway, "/v1/rerank", {"query": "q", "documents": documents})).status == 200
        assert len(offered) == count
