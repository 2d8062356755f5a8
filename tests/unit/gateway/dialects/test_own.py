"""Our own routes and their document, which are both made from the table of verbs: each is held against the other."""

import json

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from unit.gateway.asgi import get, post
from unit.gateway.dialects.test_late_interaction import LATE, late
from unit.gateway.pipelines import PIPELINES, answer, vector_of

from encserve import AsyncClient
from encserve._verbs.table import VERBS
from encserve.testing import AsyncFakeTransport
from encserve_gateway.aliases import Alias
from encserve_gateway.dialects.document import document, request_schema, response_schema
from encserve_gateway.dialects.own import path_of

ARGUMENTS = {
    "answer": {"question": "who?", "context": "😀 Paris burns"},
    "classify": {"texts": ["a", "b c"]},
    "classify_tokens": {"texts": ["Paris by night"]},
    "classify_zero_shot": {"texts": ["a"], "labels": ["x", "y"]},
    "embed": {"texts": ["a", "b c"]},
    "embed_hybrid": {"texts": ["a", "b c"]},
    "embed_spans": {"texts": ["a"]},
    "embed_sparse": {"texts": ["a"]},
    "embed_tokens": {"texts": ["a"]},
    "extract_entities": {"texts": ["Paris by night"], "labels": ["city", "time"]},
    "fill_mask": {"texts": ["a [MASK] car"]},
    "generate": {"texts": ["a", "b c"]},
    "rerank": {"query": "q", "documents": ["a", "bb"]},
    "score": {"texts": ["a car"]},
}
VALUES = {
    "adapter": "legal",
    "truncate": "start",
    "long_text": "chunk",
    "overlap": 2,
    "prompt_name": "query",
    "prompt": "find: ",
    "input_type": "query",
    "instruction": "Does it name a place?",
    "document_vectors": "int8",
    "dimensions": 4,
    "normalize": False,
    "output_dtype": "float32",
    "dense": False,
    "sparse": False,
    "tokens": False,
    "spans": [[[0, 1]]],
    "span_by": "tokens",
    "span_tokens": 5,
    "top_k": 2,
    "max_answer_length": 3,
    "no_answer": True,
    "aggregation": "first",
    "multi_label": True,
    "nested": True,
    "threshold": 0.25,
    "probabilities": True,
    "hypothesis_template": "It is {}.",
    "priority": "bulk",
    "max_new_tokens": 7,
    "min_new_tokens": 0,
    "do_sample": True,
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 3,
    "stop": ["x"],
    "descriptions": ["y"],
    "source_language": "deu_Latn",
    "target_language": "fra_Latn",
    "num_beams": 4,
    "length_penalty": 2.0,
    "early_stopping": "never",
    "repetition_penalty": 1.5,
    "no_repeat_ngram_size": 3,
}
BESIDE = {"span_tokens": {"span_by": "tokens"}}
"""Option -> what it is refused without."""
SENT = {
    "temperature": "0.5",
    "length_penalty": "2.0",
    "repetition_penalty": "1.5",
    "top_p": "0.9",
    "threshold": "0.25",
    "stop": '["x"]',
    "descriptions": '["y"]',
    "spans": "[[[0, 1]]]",
}
"""What of VALUES reaches a pipeline in another form."""


def plain(value):
    return json.loads(json.dumps(value, default=lambda each: each.tolist() if hasattr(each, "tolist") else vars(each)))


@pytest.mark.parametrize("name", sorted(set(VERBS) - {"score"}))
async def test_each_verb_gives_the_fields_of_the_sdk_s_result(fake, name):
    answered = await post(fake().gateway, path_of(VERBS[name]), ARGUMENTS[name])
    assert answered.status == 200, answered.body
    async with AsyncClient(transport=AsyncFakeTransport(answer, pipelines=PIPELINES)) as client:
        expected = await getattr(client, name)(**ARGUMENTS[name], model=answered.json["model"])
    fields = {name: value for name, value in vars(expected).items() if name != "start" and value is not None}
    assert answered.json.keys() == fields.keys()
    for field, value in fields.items():
        if isinstance(value, np.ndarray) and value.dtype == np.float32:
            np.testing.assert_array_equal(np.float32(answered.json[field]), value)
        elif field not in ("vectors", "weights"):
            assert answered.json[field] == plain(value)
    Draft202012Validator(response_schema(VERBS[name])).validate(answered.json)


@pytest.mark.parametrize("name", sorted(set(VERBS) - {"score"}))
async def test_each_option_reaches_the_pipeline(fake, name):
    for option in VERBS[name].options:
        gateway = fake(late, pipelines=(*PIPELINES, LATE))
        body = ARGUMENTS[name] | BESIDE.get(option, {}) | {option: VALUES[option]}
        assert Draft202012Validator(request_schema(VERBS[name])).is_valid(body)
        await post(gateway.gateway, path_of(VERBS[name]), body)
        assert gateway.requests[0].parameters[option] == SENT.get(option, VALUES[option])


@pytest.mark.parametrize("value", ["hot", True, [1]])
async def test_what_is_no_number_is_refused(fake, value):
    answered = await post(fake().gateway, "/v1/text2text-generation", {"texts": ["a"], "temperature": value})
    assert (answered.status, answered.json["error"]["param"]) == (400, "temperature")
    assert "expected a number" in answered.json["error"]["message"]


async def test_each_text_may_have_its_own_adapter(fake):
    gateway = fake()
    await post(gateway.gateway, "/v1/feature-extraction", {"texts": ["a", "b"], "adapter": ["legal", "none"]})
    assert json.loads(gateway.requests[0].parameters["adapter"]) == ["legal", "none"]
    answered = await post(gateway.gateway, "/v1/feature-extraction", {"texts": ["a", "b"], "adapter": ["legal"]})
    assert answered.status == 400
    assert "adapter has 1 values for 2 texts" in answered.json["error"]["message"]


async def test_score_is_asked_below_the_task_that_it_shares(fake):
    def scored(request):
        counts = {"token_count": np.array([[3]], np.int32), "dropped_count": np.array([[0]], np.int32)}
        likelihood = {"pseudo_log_likelihood": np.array([[-1.5]], np.float32), "mask_count": np.array([[1]], np.int32)}
        return counts | likelihood

    gateway = fake(scored)
    answered = await post(gateway.gateway, "/v1/fill-mask/score", ARGUMENTS["score"])
    assert (answered.json["log_likelihoods"], answered.json["scored_counts"]) == ([-1.5], [1])
    assert gateway.requests[0].parameters["score_texts"] is True
    Draft202012Validator(response_schema(VERBS["score"])).validate(answered.json)


def test_every_verb_has_a_path_of_its_own():
    assert len({path_of(verb) for verb in VERBS.values()}) == len(VERBS)
    assert path_of(VERBS["embed"]) == "/v1/feature-extraction"
    assert path_of(VERBS["fill_mask"]) == "/v1/fill-mask"


async def test_an_alias_has_defaults(fake):
    gateway = fake(aliases=(Alias(name="q", pipeline="embed", prompt_name="query", dimensions=4),)).gateway
    answered = await post(gateway, "/v1/feature-extraction", {"texts": ["a"], "model": "q", "normalize": True})
    np.testing.assert_array_equal(
        np.float32(answered.json["vectors"]), [vector_of("a", prompt_name="query", dimensions=4)]
    )
    other = await post(gateway, "/v1/feature-extraction", {"texts": ["a"], "model": "q", "prompt_name": ""})
    np.testing.assert_array_equal(np.float32(other.json["vectors"]), [vector_of("a", prompt_name="", dimensions=4)])


WRONG = {
    "an unknown field": ("embed", {"texts": ["a"], "text": "a"}, "text"),
    "no texts": ("embed", {}, "texts"),
    "one text in place of a list": ("embed", {"texts": "a"}, "texts"),
    "an empty list": ("embed", {"texts": []}, "texts"),
    "a wrong choice": ("embed", {"texts": ["a"], "truncate": "middle"}, "truncate"),
    "a number that is too small": ("embed", {"texts": ["a"], "dimensions": 0}, "dimensions"),
    "a text for a number": ("rerank", {"query": "q", "documents": ["a"], "top_k": "1"}, "top_k"),
    "a number for a flag": ("embed", {"texts": ["a"], "normalize": 1}, "normalize"),
    "a list for a text": ("rerank", {"query": ["q"], "documents": ["a"]}, "query"),
    "an option of another verb": ("rerank", {"query": "q", "documents": ["a"], "normalize": True}, "normalize"),
    "an adapter without a name": (
        "embed",
        {"texts": ["a", "b"], "adapter": ["legal", ""], "model": "unknown"},
        "adapter",
    ),
    "an adapter that is a number": ("embed", {"texts": ["a"], "adapter": 3}, "adapter"),
    "several adapters for one answer": (
        "rerank",
        {"query": "q", "documents": ["a"], "adapter": ["legal"]},
        "adapter",
    ),
}


@pytest.mark.parametrize(("name", "body", "param"), WRONG.values(), ids=WRONG)
async def test_what_the_document_refuses_the_gateway_refuses_by_name(fake, name, body, param):
    assert not Draft202012Validator(request_schema(VERBS[name])).is_valid(body)
    gateway = fake()
    answered = await post(gateway.gateway, path_of(VERBS[name]), body)
    assert (answered.status, answered.json["error"]["param"]) == (400, param)
    assert gateway.requests == []
    Draft202012Validator(document()["components"]["schemas"]["Error"]).validate(answered.json)


@pytest.mark.parametrize("name", sorted(set(VERBS) - {"score"}))
async def test_null_leaves_an_option_to_the_pipeline(fake, name):
    body = ARGUMENTS[name] | dict.fromkeys([*VERBS[name].options, "priority", "model"])
    assert Draft202012Validator(request_schema(VERBS[name])).is_valid(body)
    gateway = fake()
    assert (await post(gateway.gateway, path_of(VERBS[name]), body)).status == 200
    assert gateway.requests[0].parameters.keys() <= {"labels", "span_by"}, (
        "sentences, where nothing says what is a span"
    )


async def test_the_document(fake):
    answered = await get(fake().gateway, "/openapi.json")
    assert answered.json == json.loads(json.dumps(document()))
    assert answered.json["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(answered.json).validate()
    operations = [methods["post"] for methods in answered.json["paths"].values()]
    assert {operation["operationId"] for operation in operations} == {*VERBS, "completions", "pipeline"}
    for operation in operations:
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        for schema in (body, operation["responses"]["200"]["content"]["application/json"]["schema"]):
            Draft202012Validator.check_schema(schema)
        assert all(about["description"] for about in body["properties"].values())


async def test_the_page(fake):
    answered = await get(fake().gateway, "/docs")
    assert answered.headers["content-type"] == "text/html; charset=utf-8"
    text = answered.body.decode()
    for verb in VERBS.values():
        assert f"POST {path_of(verb)}" in text
    assert "http" not in text.replace("https", "http").partition("<h1>")[0]  # nothing is fetched from elsewhere
