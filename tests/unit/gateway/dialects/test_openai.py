"""`/v1/embeddings` and `/v1/models`, field by field."""

import base64
import json

import numpy as np
import pytest
from unit.gateway.asgi import get, post
from unit.gateway.dialects.vector_rows import rows
from unit.gateway.pipelines import DIMENSIONS, MAX_LENGTH, PIPELINES, vector_of

from encserve_gateway.aliases import Alias

LONG = " ".join(f"word{number}" for number in range(20))


async def test_one_text(fake):
    answered = await post(fake().gateway, "/v1/embeddings", {"input": "a", "model": "embed"})
    assert answered.status == 200
    body = answered.json
    assert (body["object"], body["model"]) == ("list", "embed")
    assert [(item["object"], item["index"]) for item in body["data"]] == [("embedding", 0)]
    assert body["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    np.testing.assert_array_equal(rows(answered)[0], vector_of("a"))


async def test_texts_keep_their_order_and_are_each_as_if_alone(fake):
    gateway = fake().gateway
    texts = [f"text number {number}" for number in range(200)]
    together = await post(gateway, "/v1/embeddings", {"input": texts, "model": "embed"})
    assert [item["index"] for item in together.json["data"]] == list(range(200))
    np.testing.assert_array_equal(rows(together), [vector_of(text) for text in texts])


async def test_base64_has_the_bits_of_the_numbers(fake):
    gateway = fake().gateway
    body = {"input": ["a", "b c"], "model": "embed"}
    numbers = await post(gateway, "/v1/embeddings", body)
    packed = await post(gateway, "/v1/embeddings", body | {"encoding_format": "base64"})
    decoded = [np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in packed.json["data"]]
    np.testing.assert_array_equal(decoded, rows(numbers))


@pytest.mark.parametrize("field", ["encoding_format", "dimensions", "user", "input_type", "truncation_side"])
async def test_null_is_as_if_it_were_not_there(fake, field):
    answered = await post(fake().gateway, "/v1/embeddings", {"input": "a", "model": "embed", field: None})
    np.testing.assert_array_equal(rows(answered)[0], vector_of("a"))


async def test_unknown_fields_are_let_pass(fake):
    body = {"input": "a", "model": "embed", "foo": {"bar": 1}, "truncate_prompt_tokens": MAX_LENGTH, "user": "me"}
    assert (await post(fake().gateway, "/v1/embeddings", body)).status == 200


@pytest.mark.parametrize("path", ["/embeddings", "/v1/embeddings/", "//v1//embeddings"])
async def test_other_ways_to_write_the_path(fake, path):
    assert (await post(fake().gateway, path, {"input": "a", "model": "embed"})).status == 200


@pytest.mark.parametrize("path", ["/v1/embeddings"])
async def test_an_empty_text_has_a_vector(fake, path):
    answered = await post(fake().gateway, path, {"input": ["a", ""], "model": "embed"})
    np.testing.assert_array_equal(rows(answered), [vector_of("a"), vector_of("")])
    assert (await post(fake().gateway, path, {"input": "", "model": "embed"})).status == 200


REFUSED = {
    "nothing": ({}, "input", "input is missing"),
    "null": ({"input": None}, "input", "input is missing"),
    "no text": ({"input": []}, "input", "input cannot be empty"),
    "an object": ({"input": {}}, "input", "input is an object, expected a text or a list of texts"),
    "a number": ({"input": 3}, "input", "input is a whole number, expected a text or a list of texts"),
    "mixed": ({"input": ["a", 1]}, "input", "input has a whole number at 1, expected a text"),
    "nested": ({"input": [["a"]]}, "input", "input has a list at 0, expected a text"),
    "true": ({"input": [True]}, "input", "input has true or false at 0, expected a text"),
    "a float": ({"input": [1.0]}, "input", "input has a number at 0, expected a text"),
    "an empty list in a list": ({"input": [[]]}, "input", "input has a list at 0, expected a text"),
    "2049 texts": ({"input": ["a"] * 2049}, "input", "input has 2049 items, at most 2048 are allowed"),
    "md5": (
        {"input": "a", "encoding_format": "md5"},
        "encoding_format",
        "Invalid value for 'encoding_format' = md5. Supported values: ['float', 'base64'].",
    ),
    "encoding 3": (
        {"input": "a", "encoding_format": 3},
        "encoding_format",
        "Invalid value for 'encoding_format' = a whole number. Supported values: ['float', 'base64'].",
    ),
    "dimensions -1": ({"input": "a", "dimensions": -1}, "dimensions", "dimensions is -1, expected 0 or more"),
    "dimensions 17": (
        {"input": "a", "dimensions": 17},
        "dimensions",
        "dimensions is 17, the vectors of this model have 16",
    ),
    "dimensions '8'": (
        {"input": "a", "dimensions": "8"},
        "dimensions",
        "dimensions is a text, expected a whole number",
    ),
    "dimensions true": (
        {"input": "a", "dimensions": True},
        "dimensions",
        "dimensions is true or false, expected a whole number",
    ),
    "cut at 3": (
        {"input": "a", "truncate_prompt_tokens": 3},
        "truncate_prompt_tokens",
        "truncate_prompt_tokens is 3; this server cuts at the length of the model, 8, or not at all",
    ),
    "an unknown side": (
        {"input": "a", "truncation_side": "top"},
        "truncation_side",
        "truncation_side is 'top', expected one of 'left', 'right'",
    ),
    "model 3": ({"input": "a", "model": 3}, "model", "model is a whole number, expected a text"),
    "another task": (
        {"input": "a", "model": "rerank"},
        "model",
        "the model 'rerank' does text-ranking, here feature-extraction is asked for",
    ),
}


@pytest.mark.parametrize(("body", "param", "message"), REFUSED.values(), ids=REFUSED)
async def test_what_is_wrong_is_named(fake, body, param, message):
    asked = fake()
    answered = await post(asked.gateway, "/v1/embeddings", {"model": "embed"} | body)
    assert answered.status == 400
    assert answered.json == {
        "error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    }
    assert asked.requests == []


@pytest.mark.parametrize("ids", [[1, 2, 3], [[1, 2], [3]], [101, 7592, 102], [-1], [10**9], [1, "a"]])
async def test_ids_of_tokens_are_refused_and_never_misread(fake, ids):
    asked = fake()
    answered = await post(asked.gateway, "/v1/embeddings", {"input": ids, "model": "embed"})
    assert (answered.status, answered.json["error"]["param"]) == (400, "input")
    assert "check_embedding_ctx_length=False" in answered.json["error"]["message"]
    assert asked.requests == []


async def test_2048_texts(fake):
    texts = [f"text {number}" for number in range(2048)]
    answered = await post(fake().gateway, "/v1/embeddings", {"input": texts, "model": "embed"})
    np.testing.assert_array_equal(rows(answered), [vector_of(text) for text in texts])


async def test_dimensions(fake):
    gateway = fake().gateway
    body = {"input": ["a", "b"], "model": "embed"}
    shortened = await post(gateway, "/v1/embeddings", body | {"dimensions": 4})
    np.testing.assert_array_equal(rows(shortened), [vector_of("a", dimensions=4), vector_of("b", dimensions=4)])
    whole = await post(gateway, "/v1/embeddings", body | {"dimensions": 0})
    assert rows(whole).shape == (2, DIMENSIONS)


async def test_models_without_a_name_are_the_first_of_the_task(fake):
    for name in ({}, {"model": None}, {"model": ""}, {"model": "default/not-specified"}):
        answered = await post(fake().gateway, "/v1/embeddings", {"input": "a"} | name)
        assert answered.json["model"] == "embed"


async def test_unknown_models(fake):
    for config in ({}, {"models": ("embed",)}):
        answered = await post(fake(**config).gateway, "/v1/embeddings", {"input": "a", "model": "nobody"})
        assert answered.status == 404
        assert answered.json["error"]["code"] == "model_not_found"
    answered = await post(fake(models=("embed",)).gateway, "/v1/embeddings", {"input": "a", "model": "plain"})
    assert answered.status == 404


async def test_too_long_is_cut_and_told(fake):
    gateway = fake().gateway
    answered = await post(gateway, "/v1/embeddings", {"input": ["a", LONG], "model": "embed"})
    np.testing.assert_array_equal(rows(answered), [vector_of("a"), vector_of(LONG)])
    told = answered.json["encserve"]
    assert (told["token_counts"], told["dropped_counts"]) == ([3, 8], [0, 14])
    assert (told["version"], told["certificate"]) == ("1", "0" * 64)
    expected = {
        "encserve-token-count": "11",
        "encserve-dropped-count": "14",
        "encserve-cut-texts": "1",
        "encserve-model": "embed",
        "encserve-version": "1",
        "encserve-certificate": "0" * 64,
    }
    assert expected.items() <= answered.headers.items()


async def test_the_other_end_is_cut_where_a_client_says_so(fake):
    gateway = fake().gateway
    left = await post(gateway, "/v1/embeddings", {"input": LONG, "model": "embed", "truncation_side": "left"})
    start = await post(gateway, "/v1/embeddings", {"input": LONG, "model": "embed", "truncate": "START"})
    for answered in (left, start):
        np.testing.assert_array_equal(rows(answered)[0], vector_of(LONG, truncate="start"))


async def test_too_long_is_refused_where_the_name_or_the_request_says_so(fake):
    strict = Alias(name="strict", pipeline="embed", truncate="error")
    gateway = fake(aliases=(strict,)).gateway
    for body in ({"model": "strict"}, {"model": "embed", "truncate": "NONE"}):
        refused = await post(gateway, "/v1/embeddings", {"input": ["a", LONG]} | body)
        assert refused.status == 400
        told = "This model's maximum context length is 8 tokens. However, input[1] has 22 tokens, the limit is 8."
        assert refused.json["error"] == {
            "message": told,
            "type": "invalid_request_error",
            "param": "input",
            "code": "context_length_exceeded",
        }
    assert (await post(gateway, "/v1/embeddings", {"input": "a", "model": "strict"})).status == 200


async def test_an_alias_has_defaults(fake):
    short = Alias(name="text-embedding-3-small", pipeline="embed", prompt_name="document", dimensions=4)
    gateway = fake(aliases=(short,)).gateway
    body = {"input": "a", "model": "text-embedding-3-small"}
    answered = await post(gateway, "/v1/embeddings", body)
    assert answered.json["model"] == "text-embedding-3-small"
    np.testing.assert_array_equal(rows(answered)[0], vector_of("a", prompt_name="document", dimensions=4))
    other = await post(gateway, "/v1/embeddings", body | {"dimensions": 5, "input_type": "query"})
    np.testing.assert_array_equal(rows(other)[0], vector_of("a", prompt_name="query", dimensions=5))


async def test_a_vector_that_is_not_finite_never_leaves(fake):
    def broken(request):
        return {
            "embedding": np.full((1, 1, DIMENSIONS), np.nan, np.float32),
            "token_count": np.array([[3]], np.int32),
            "dropped_count": np.array([[0]], np.int32),
        }

    answered = await post(fake(broken).gateway, "/v1/embeddings", {"input": "a", "model": "embed"})
    assert (answered.status, answered.headers["x-should-retry"]) == (500, "false")
    assert answered.json["error"]["type"] == "server_error"


async def test_models(fake):
    gateway = fake(aliases=(Alias(name="small", pipeline="plain"),)).gateway
    for path in ("/v1/models", "/models"):
        listed = (await get(gateway, path)).json
        assert listed["object"] == "list"
        assert [item["id"] for item in listed["data"]] == ["small", *sorted(each.name for each in PIPELINES)]
    item = (await get(gateway, "/v1/models/small")).json
    assert (item["object"], item["owned_by"], item["max_model_len"], item["pipeline"]) == (
        "model",
        "encserve",
        MAX_LENGTH,
        "plain",
    )
    assert type(item["created"]) is int
    assert (await get(gateway, "/v1/models/no/such/model")).json["error"]["code"] == "model_not_found"


async def test_numbers_have_no_more_digits_than_they_need(fake):
    answered = await post(fake().gateway, "/v1/embeddings", {"input": "a", "model": "embed"})
    first = json.dumps(answered.json["data"][0]["embedding"][0])
    assert len(first) <= len("-0.12345678901")
