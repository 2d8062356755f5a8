"""`rerank` of Jina, Cohere, vLLM, Infinity and Voyage, `score` of vLLM, `ranking` of NIM."""

import asyncio
import itertools
from dataclasses import replace

import numpy as np
import pytest
from unit.gateway.asgi import post
from unit.gateway.pipelines import MAX_LENGTH, RERANK, answer

from encserve import InvalidInput, Overloaded

DOCUMENTS = ["a", "ccc", "bb"]
LONG = " ".join(f"word{number}" for number in range(20))


def asked(**fields):
    return {"query": "q", "documents": DOCUMENTS, "model": "rerank"} | fields


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
@pytest.mark.parametrize("with_documents", [True, False, None])
@pytest.mark.parametrize("top", [1, 2, 8000])
async def test_all_orders(fake, path, with_documents, top):
    gateway = fake().gateway
    for documents in itertools.permutations(DOCUMENTS):
        body = asked(documents=documents, top_n=top, return_documents=with_documents)
        results = (await post(gateway, path, body)).json["results"]
        assert len(results) == min(top, 3)
        assert documents[results[0]["index"]] == "ccc"
        np.testing.assert_allclose(results[0]["relevance_score"], 0.03, rtol=1e-6)
        assert [item.get("document") for item in results] == [
            {"text": documents[item["index"]]} if with_documents else None for item in results
        ]
        if not with_documents:
            assert all("document" not in item for item in results)


async def test_what_every_client_reads(fake):
    answered = (await post(fake().gateway, "/v1/rerank", asked(), x_request_id="abc")).json
    assert (answered["id"], answered["object"], answered["model"]) == ("abc", "rerank", "rerank")
    assert answered["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
    assert answered["meta"] == {"api_version": {"version": "1"}, "billed_units": {"search_units": 1}}
    assert answered["data"] == answered["results"], "which LiteLLM reads of Voyage"
    many = (await post(fake().gateway, "/v2/rerank", asked(documents=["a"] * 101))).json
    assert many["meta"] == {"api_version": {"version": "2"}, "billed_units": {"search_units": 2}}
    assert "data" not in many


async def test_nulls_of_cohere(fake):
    body = asked(top_n=None, max_tokens_per_doc=None, return_documents=None, rank_fields=None, priority=None)
    answered = await post(fake().gateway, "/v2/rerank", body)
    assert [item["index"] for item in answered.json["results"]] == [1, 2, 0]


async def test_voyage(fake):
    body = asked(top_k=2, truncation=True, return_documents=False)
    answered = (await post(fake().gateway, "/v1/rerank", body)).json
    assert answered["data"] == answered["results"]
    assert (len(answered["data"]), answered["usage"]["total_tokens"]) == (2, 9)


async def test_objects_are_documents(fake):
    answered = await post(fake().gateway, "/v1/rerank", asked(documents=[{"text": "a", "title": "t"}, "bb"]))
    assert [item["index"] for item in answered.json["results"]] == [1, 0]


@pytest.mark.parametrize("field", [{"max_tokens_per_doc": 4096}, {"truncate_prompt_tokens": -1}, {"top_n": 0}])
async def test_what_asks_for_no_more_than_there_is(fake, field):
    assert len((await post(fake().gateway, "/v1/rerank", asked(**field))).json["results"]) == 3


@pytest.mark.parametrize(
    ("field", "param", "message"),
    [
        ({"documents": []}, "documents", "documents cannot be empty"),
        ({"documents": "a"}, "documents", "documents is a text, expected a list of texts"),
        (
            {"documents": ["a", {"content": "b"}]},
            "documents",
            "documents has an object at 1, expected a text, or an object with a text in its field text",
        ),
        ({"query": None}, "query", "query is missing"),
        ({"top_n": -1}, "top_n", "top_n is -1, expected 0 or more"),
        (
            {"max_tokens_per_doc": 3},
            "max_tokens_per_doc",
            f"max_tokens_per_doc is 3; this server cuts at the length of the model, {MAX_LENGTH}, or not at all",
        ),
        (
            {"raw_scores": True},
            "raw_scores",
            "raw_scores is true; this server gives the scores of the checkpoint's own activation only",
        ),
        (
            {"use_activation": False},
            "use_activation",
            "use_activation is false; this server gives the scores of the checkpoint's own activation only",
        ),
        (
            {"model": "embed"},
            "model",
            "the model 'embed' does feature-extraction, here text-ranking is asked for",
        ),
    ],
)
async def test_what_is_wrong_is_named_for_all_clients(fake, field, param, message):
    answered = await post(fake().gateway, "/v1/rerank", asked(**field))
    assert (answered.status, answered.json["message"]) == (400, message)
    assert (answered.json["error"]["message"], answered.json["error"]["param"]) == (message, param)


async def test_cohere_wants_a_query(fake):
    for query in ("", " "):
        assert (await post(fake().gateway, "/v2/rerank", asked(query=query))).status == 400
        assert (await post(fake().gateway, "/v1/rerank", asked(query=query))).status == 200


@pytest.mark.parametrize("field", [{"truncation": False}, {"truncate": "NONE"}])
async def test_too_long(fake, field):
    answered = await post(fake().gateway, "/v1/rerank", asked(documents=["a", LONG], **field))
    assert (answered.status, answered.json["error"]["code"]) == (400, "context_length_exceeded")
    cut = await post(fake().gateway, "/v1/rerank", asked(documents=["a", LONG]))
    assert cut.json["encserve"]["dropped_counts"] == [0, 14]


async def test_overload_is_503_for_all_of_them(fake):
    def fail(request):
        raise Overloaded("a reason")

    answered = await post(fake(fail, timeout_s=0.05).gateway, "/v2/rerank", asked())
    assert (answered.status, answered.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("path", ["/v1/ranking", "/v1/retrieval/rerank/reranking"])
async def test_nim(fake, path):
    body = {"model": "rerank", "query": {"text": "q"}, "passages": [{"text": text} for text in DOCUMENTS]}
    answered = (await post(fake().gateway, path, body | {"truncate": "END"})).json
    assert [item["index"] for item in answered["rankings"]] == [1, 2, 0]
    np.testing.assert_allclose([item["logit"] for item in answered["rankings"]], [0.03, 0.02, 0.01], rtol=1e-6)
    assert answered["usage"]["total_tokens"] == 9
    best = (await post(fake().gateway, path, body | {"top_k": 2})).json
    assert [item["index"] for item in best["rankings"]] == [1, 2]
    wrong = await post(fake().gateway, path, body | {"query": {}})
    assert (wrong.status, wrong.json["error"]["param"]) == (400, "query.text")


@pytest.mark.parametrize("first", ["queries", "text_1", "data_1"])
@pytest.mark.parametrize("second", ["documents", "items", "text_2", "data_2"])
async def test_score(fake, first, second):
    gateway = fake().gateway
    for queries, documents, scores in (
        ("q", "bb", [0.02]),
        ("q", DOCUMENTS, [0.01, 0.03, 0.02]),
        (["q"], DOCUMENTS, [0.01, 0.03, 0.02]),
        (["q", "r", "s"], DOCUMENTS, [0.01, 0.03, 0.02]),
    ):
        answered = (await post(gateway, "/v1/score", {first: queries, second: documents})).json
        np.testing.assert_allclose([item["score"] for item in answered["data"]], scores, rtol=1e-6)
        assert [(item["index"], item["object"]) for item in answered["data"]] == [
            (index, "score") for index in range(len(scores))
        ]


async def test_scores_of_pairs_are_those_of_their_own_queries(fake):
    def by_query(request):
        query, document = request.inputs["text"][0].decode(), request.inputs["text_pair"][0].decode()
        return answer(request) | {"score": np.array([[float(query) + len(document)]], np.float32)}

    body = {"queries": [str(10 * number) for number in range(20)], "documents": ["a" * n for n in range(20)]}
    answered = (await post(fake(by_query).gateway, "/score", body)).json
    assert [item["score"] for item in answered["data"]] == [11.0 * number for number in range(20)]


@pytest.mark.parametrize(("promotions", "status"), [({5}, 200), (range(5, 1_000, 10), 503)], ids=["one", "ever again"])
async def test_scores_of_pairs_are_of_one_version_while_another_is_promoted(fake, promotions, status):
    def promoted(request):
        if len(gateway.requests) in promotions:
            served = gateway.transport._served
            served["rerank"] = replace(RERANK, version=str(int(served["rerank"].version) + 1))
        return answer(request)

    gateway = fake(promoted)
    several = [str(number) for number in range(20)]
    answered = await post(gateway.gateway, "/score", {"queries": several, "documents": several})
    assert answered.status == status, answered.json
    if status == 200:
        assert answered.headers["encserve-version"] == "2"
        assert len(gateway.requests) >= 2 * len(several)  # all of them anew


async def test_a_pair_that_fails_ends_the_others(fake):
    asked, ended = [], []
    both = asyncio.Event()

    async def first_fails(request):
        asked.append(request)
        if len(asked) == 1:
            await both.wait()
            raise InvalidInput("a reason")
        both.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(request)
            raise

    body = {"queries": list("abcd"), "documents": list("abcd")}
    assert (await post(fake(first_fails).gateway, "/score", body)).status == 400
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(ended) == len(asked) - 1 > 0


async def test_as_many_of_both(fake):
    answered = await post(fake().gateway, "/score", {"queries": ["a", "b"], "documents": ["a", "b", "c"]})
    assert (answered.status, answered.json["error"]["message"]) == (
        400,
        "documents has 3 items and queries 2, expected as many or one",
    )
    missing = await post(fake().gateway, "/score", {"documents": ["a"]})
    assert missing.json["error"]["message"] == "queries is missing"
