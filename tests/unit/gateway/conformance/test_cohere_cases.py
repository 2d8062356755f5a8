"""Cases 48 to 56: Cohere's embed and rerank, as its clients send them and as vLLM's tests look at them."""

import base64

import numpy as np
import pytest
from unit.gateway.asgi import post
from unit.gateway.pipelines import DIMENSIONS, vector_of

from encserve_gateway.dialects.cohere import as_binary, as_ubinary

from .case import LONG, Case, contains, vectors

NULLS = dict.fromkeys(("max_tokens", "output_dimension", "embedding_types", "truncate", "priority", "images", "inputs"))


def case(number, what, status=200, has=None, path="/v2/embed", **fields):
    standard = {"model": "embed", "input_type": "search_document", "texts": ["a"], "embedding_types": ["float"]}
    body = {name: value for name, value in (standard | fields).items() if value is not MISSING}
    return Case(number, what, path, body, status, has)


MISSING = object()


def floats(*rows):
    return {"embeddings": {"float": vectors(*rows)}}


def refused(*words):
    return {"message": lambda message: all(word in message for word in words)}


def as_query(text):
    return vector_of(text, prompt_name="query")


def as_document(text, **options):
    return vector_of(text, prompt_name="document", **options)


PLAIN = floats(vector_of("a", prompt_name=""))
NO_BYTES = ["binary"], ["ubinary"]

CASES = [
    *(case(48, f"input_type {said} without prompts", model="plain", input_type=said, has=PLAIN)
      for said in ("search_query", "nonexistent_type", "classification")),
    case(48, "no input_type without prompts", model="plain", input_type=MISSING, has=floats(vector_of("a"))),
    case(48, "a query where there are prompts", input_type="search_query", has=floats(as_query("a"))),
    case(50, "four types", texts=["a", "b"], embedding_types=["float", "binary", "ubinary", "base64"],
         has={"embeddings": lambda found: (
             found.keys() == {"float", "binary", "ubinary", "base64"}
             and np.shape(found["float"]) == (2, DIMENSIONS)
             and np.shape(found["binary"]) == np.shape(found["ubinary"]) == (2, DIMENSIONS // 8)
             and [base64.b64decode(each) for each in found["base64"]]
             == [np.array(row, "<f4").tobytes() for row in found["float"]])}),
    *(case(51, f"12 components have no {kinds[0]}", 400, output_dimension=12, embedding_types=kinds,
           has=refused("vectors have 12 components")) for kinds in NO_BYTES),
    case(52, "END", texts=[LONG], truncate="END", has=floats(as_document(LONG, truncate="end"))),
    case(52, "START", texts=[LONG], truncate="START", has=floats(as_document(LONG, truncate="start"))),
    case(52, "NONE", 400, texts=[LONG], truncate="NONE", has=refused("texts has 22 tokens, the limit is 8")),
    case(53, "no texts", 400, texts=MISSING, has=refused("texts is missing")),
    case(53, "a list of none", 400, texts=[], has=refused("texts cannot be empty")),
    case(53, "97 texts", texts=["a"] * 97, has=floats(*[as_document("a")] * 97)),
    case(53, "every optional field null", **NULLS, has=floats(as_document("a"))),
    case(54, "the structure", has={
        "id": lambda value: isinstance(value, str) and bool(value),
        "texts": ["a"],
        "response_type": "embeddings_by_type",
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 3}}}),
    case(54, "the structure of version 1", path="/v1/embed", embedding_types=None, has={
        "id": lambda value: isinstance(value, str),
        "embeddings": vectors(as_document("a")),
        "response_type": "embeddings_floats",
        "meta": {"api_version": {"version": "1"}}}),
    Case(56, "rerank with nulls", "/v2/rerank", {
        "model": "rerank", "query": "q", "documents": ["a", "ccc", "bb"], "top_n": None, "max_tokens_per_doc": None},
        has={"results": lambda results: (
            [item["index"] for item in results] == [1, 2, 0]
            and all(item.keys() == {"index", "relevance_score"} for item in results)
            and all(0 <= item["relevance_score"] <= 1 for item in results))}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_cases(fake, case):
    await case.check(fake)


async def test_case_49_the_vectors_are_those_of_openai_s_route(fake):
    app = fake().gateway
    body = {"model": "embed", "input": ["a", "b"], "input_type": "search_document"}
    openai = await post(app, "/v1/embeddings", body)
    body = {"model": "embed", "texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"]}
    cohere = await post(app, "/v2/embed", body)
    contains(cohere.json["embeddings"]["float"], [item["embedding"] for item in openai.json["data"]])


@pytest.mark.parametrize(
    ("vector", "signed", "unsigned"),
    [([1, -1] * 4, 42, 170), ([-1] * 8, -128, 0), ([0] * 8, -128, 0), ([1] * 8, 127, 255)],
    ids=["alternating", "below zero", "zero", "above zero"],
)
def test_case_51_bits(vector, signed, unsigned):
    """Zero is no bit, as in sentence-transformers; in vLLM it is one."""
    rows = np.float32([vector])
    assert (as_binary(rows).tolist(), as_ubinary(rows).tolist()) == ([[signed]], [[unsigned]])
