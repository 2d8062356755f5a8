"""Cases 65 to 67: the routes of Hugging Face's pipelines, and the five kinds of request that AIPerf sends."""

import pytest
from unit.gateway.asgi import post

from .case import Case


def pipeline(number, what, name, has, status=200, **fields):
    return Case(number, what, f"/models/{name}" if name else "/", {"parameters": {}} | fields, status, has)


def without_parameters(what, has, **fields):
    return Case(66, what, "/", fields, 200, has)


QUESTION = {"question": "who?", "context": "😀 Paris now"}
TEXTS = {"query": "q", "texts": ["a", "bb"]}
SIMILAR = {"source_sentence": "a", "sentences": ["a", "b"]}

CASES = [
    pipeline(65, "text classification is nested", "classify", [[{"label": "neutral"}, {}, {}]], inputs="a"),
    pipeline(65, "entities", "tag", [{"entity_group": "LOC", "word": "😀Paris", "start": 0, "end": 6}],
             inputs="😀Paris today"),
    pipeline(65, "zero-shot", "zero-shot", [{"label": "x"}, {"label": "y"}], inputs="a",
             parameters={"candidate_labels": ["x", "y"], "multi_label": False}),
    pipeline(65, "masks", "mask", [{"token": 0, "token_str": " red", "sequence": "a red car"}, {}],
             inputs="a [MASK] car", parameters={"top_k": 2}),
    pipeline(65, "one answer is an object", "question", {"answer": "😀", "start": 0, "end": 1}, inputs=QUESTION),
    pipeline(65, "top_k 1 too", "question", {"answer": "😀"}, inputs=QUESTION, parameters={"top_k": 1}),
    pipeline(65, "of three it is a list", "question", [{"start": 0, "end": 1}, {"start": 2, "end": 7}, {}],
             inputs=QUESTION, parameters={"top_k": 3}),
    pipeline(65, "a target that is not offered", "mask", None, 422, inputs="[MASK]", parameters={"targets": ["x"]}),
    without_parameters("query and texts are a ranking", [{"index": 1}, {"index": 0}], **TEXTS),
    without_parameters("a source sentence asks for similarity", lambda found: len(found) == 2, inputs=SIMILAR),
    without_parameters("a question", {"answer": "😀"}, inputs=QUESTION),
    pipeline(66, "labels of the request", "", [{"label": "x"}], inputs="a", parameters={"candidate_labels": ["x"]}),
    pipeline(66, "anything else is the first name's", "", [[{"label": "neutral"}, {}, {}]], inputs="a"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_cases(fake, case):
    await case.check(fake)


PASSAGES = [f"passage {'x' * number}" for number in range(1, 6)]
AIPERF = {
    "embeddings": ("/v1/embeddings", {"model": "embed", "input": PASSAGES}, "data"),
    "nim_embeddings": (
        "/v1/embeddings",
        {"model": "embed", "input": PASSAGES, "input_type": "query", "truncate": "NONE"},
        "data",
    ),
    "hf_tei_rankings": ("/rerank", {"query": "q", "texts": PASSAGES}, None),
    "cohere_rankings": ("/v2/rerank", {"model": "rerank", "query": "q", "documents": PASSAGES}, "results"),
    "nim_rankings": (
        "/v1/ranking",
        {"model": "rerank", "query": {"text": "q"}, "passages": [{"text": text} for text in PASSAGES]},
        "rankings",
    ),
}


@pytest.mark.parametrize("kind", AIPERF)
async def test_case_67_the_requests_of_aiperf(fake, kind):
    path, body, where = AIPERF[kind]
    app = fake().gateway
    for _ in range(20):
        answered = await post(app, path, body)
        assert answered.status == 200, answered.body
        items = answered.json[where] if where else answered.json
        assert len(items) == len(PASSAGES)
