"""Cases 57 to 64: rerank, score and classify of Jina, vLLM, Infinity, Voyage and NIM; vLLM's pooling beside them."""

import base64
import itertools

import numpy as np
import pytest
from unit.gateway.asgi import post
from unit.gateway.pipelines import DIMENSIONS, LABELS, vector_of

from .case import LONG, Case, close_to, invalid, vectors, without

DOCUMENTS = ["a", "ccc", "bb"]


def rerank(number, what, status=200, has=None, path="/v1/rerank", **fields):
    standard = {"model": "rerank", "query": "q", "documents": DOCUMENTS}
    return Case(number, what, path, standard | fields, status, has)


def score(what, status=200, has=None, **fields):
    return Case(63, what, "/score", {"model": "rerank"} | fields, status, has)


def classify(what, status=200, has=None, **fields):
    return Case(64, what, "/classify", {"model": "classify"} | fields, status, has)


def order(*indices):
    return {"results": [{"index": index} for index in indices]}


def scores(*expected):
    return {"data": [{"index": n, "object": "score", "score": close_to(each)} for n, each in enumerate(expected)]}


def wrong(param, *words):
    return {"message": lambda message: all(word in message for word in words)} | invalid(param, *words)


def judged(item):
    """One answer of /classify: probabilities of all labels, and the label of the highest."""
    likeliest = LABELS[int(np.argmax(item["probs"]))]
    return (abs(sum(item["probs"]) - 1) < 1e-6, item["label"], item["num_classes"]) == (True, likeliest, 3)


KEYS = list(itertools.product(("queries", "text_1", "data_1"), ("documents", "items", "text_2", "data_2")))

CASES = [
    rerank(58, "top_n 0 is all", top_n=0, has=order(1, 2, 0)),
    rerank(58, "top_n -1", 400, top_n=-1, has=wrong("top_n", "top_n is -1")),
    rerank(58, "no documents", 400, documents=[], has=wrong("documents", "cannot be empty")),
    rerank(58, "an empty query on Cohere's", 400, path="/v2/rerank", query=" ", has=wrong("query", "whitespace")),
    rerank(58, "an empty query on others", query="", has=order(1, 2, 0)),
    rerank(59, "texts and objects", documents=[{"text": "a"}, "bb"], has=order(1, 0)),
    rerank(59, "objects of something else", 400, documents=[{"content": [{"type": "text", "text": "a"}]}],
           has=wrong("documents", "has an object at 0")),
    rerank(60, "LiteLLM's hosted_vllm", path="/rerank", has={
        "results": [without("document")] * 3, "object": "rerank", "usage": {"total_tokens": 9}}),
    rerank(60, "the same with null", path="/rerank", return_documents=None, has={"results": [without("document")] * 3}),
    rerank(60, "and with its documents", path="/rerank", return_documents=True,
           has={"results": [{"document": {"text": text}} for text in ("ccc", "bb", "a")]}),
    rerank(61, "Voyage", top_k=2, truncation=True, has={
        **order(1, 2), "data": [{"index": 1}, {"index": 2}], "usage": {"total_tokens": 9}}),
    Case(62, "NIM", "/v1/ranking", {
        "model": "rerank", "query": {"text": "q"}, "passages": [{"text": text} for text in DOCUMENTS]},
        has={"rankings": [{"index": 1, "logit": close_to(0.03)}, {"index": 2}, {"index": 0}]}),
    score("one and one", text_1="q", text_2="a", has=scores(0.01)),
    score("one and several, in their order", text_1="q", text_2=DOCUMENTS, has=scores(0.01, 0.03, 0.02)),
    score("as many of both", text_1=["q", "r", "s"], text_2=DOCUMENTS, has=scores(0.01, 0.03, 0.02)),
    score("two and three", 400, text_1=["q", "r"], text_2=DOCUMENTS, has=wrong("text_2", "has 3 items and text_1 2")),
    *(score(f"{first} and {second}", **{first: "q", second: ["a"]}, has=scores(0.01)) for first, second in KEYS),
    classify("a text", input="a", has={"data": [judged]}),
    classify("two texts", input=["a", "b c"], has={"data": [judged, judged]}),
    classify("an empty text", input="", has={"data": [judged]}),
    classify("no text", 400, input=[], has=invalid("input", "cannot be empty")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_cases(fake, case):
    await case.check(fake)


@pytest.mark.parametrize("top", [1, 2, 8_000])
@pytest.mark.parametrize("with_documents", [True, False])
async def test_case_57_every_order(fake, top, with_documents):
    app = fake().gateway
    for documents in itertools.permutations(DOCUMENTS):
        body = {"query": "q", "documents": documents, "top_n": top, "return_documents": with_documents}
        results = (await post(app, "/v1/rerank", body)).json["results"]
        assert len(results) == min(top, 3)
        assert results[0]["index"] == documents.index("ccc")
        expected = [{"text": documents[item["index"]]} if with_documents else None for item in results]
        assert [item.get("document") for item in results] == expected


def pooling(what, status=200, has=None, **fields):
    return Case(0, what, "/pooling", {"model": "embed", "input": "a"} | fields, status, has)


TOKENS = np.arange(3 * DIMENSIONS, dtype=np.float32)


def unpacked(*rows):
    return lambda text: np.array_equal(np.frombuffer(base64.b64decode(text), "<f4"), np.ravel(rows))


POOLING = [
    pooling("vectors", input=["a", "b"], has={"object": "list", "data": [
        {"object": "pooling", "index": n, "data": lambda found, text=text: vectors(vector_of(text))([found])}
        for n, text in enumerate("ab")], "usage": {"total_tokens": 6}}),
    pooling("vectors in base64", encoding_format="base64", has={"data": [{"data": unpacked(vector_of("a"))}]}),
    pooling("those of tokens", model="tokens", has={"data": [{"data": vectors(*TOKENS.reshape(3, DIMENSIONS))}]}),
    pooling("in base64", model="tokens", encoding_format="base64", has={"data": [{"data": unpacked(TOKENS)}]}),
    pooling("a task chooses the model", model=None, task="token_embed", has={"model": "tokens"}),
    pooling("no name is that of vectors", model=None, has={"model": "embed"}),
    pooling("a task that the model has not", 400, task="token_embed", has=invalid("model", "feature-extraction")),
    pooling("a model of something else", 400, model="rerank", has=invalid("model", "text-ranking")),
    pooling("a task that there is not", 400, task="plugin", has=invalid("task", "'plugin'")),
    pooling("without activation", 400, use_activation=False, has=invalid("use_activation", "own activation")),
    pooling("too long, and cut", model="tokens", input=LONG, has={"data": [{}]}),
]  # fmt: skip


@pytest.mark.parametrize("case", POOLING, ids=str)
async def test_pooling(fake, case):
    await case.check(fake)
