"""Cohere's `embed`, field by field."""

import base64

import numpy as np
import pytest
from unit.gateway.asgi import post
from unit.gateway.pipelines import DIMENSIONS, vector_of

from encserve_gateway.aliases import Alias
from encserve_gateway.dialects.cohere import as_binary, as_int8, as_ubinary, as_uint8

LONG = " ".join(f"word{number}" for number in range(20))


def asked(**fields):
    return {"model": "embed", "texts": ["a", "b c"]} | fields


async def test_version_2(fake):
    answered = await post(fake().gateway, "/v2/embed", asked(), x_request_id="abc")
    body = answered.json
    assert body.keys() == {"id", "response_type", "embeddings", "texts", "meta"}
    assert (body["id"], body["response_type"], body["texts"]) == ("abc", "embeddings_by_type", ["a", "b c"])
    assert body["meta"] == {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 7}}
    assert body["embeddings"].keys() == {"float"}
    np.testing.assert_array_equal(np.float32(body["embeddings"]["float"]), [vector_of("a"), vector_of("b c")])


async def test_version_1(fake):
    plain = (await post(fake().gateway, "/v1/embed", asked())).json
    assert plain["response_type"] == "embeddings_floats"
    np.testing.assert_array_equal(np.float32(plain["embeddings"]), [vector_of("a"), vector_of("b c")])
    assert plain["meta"]["api_version"] == {"version": "1"}
    typed = (await post(fake().gateway, "/v1/embed", asked(embedding_types=["float"]))).json
    assert (typed["response_type"], typed["embeddings"]["float"]) == ("embeddings_by_type", plain["embeddings"])


async def test_types(fake):
    kinds = ["float", "binary", "ubinary", "int8", "uint8", "base64", "float"]
    got = (await post(fake().gateway, "/v2/embed", asked(embedding_types=kinds))).json["embeddings"]
    assert list(got) == kinds[:-1]
    vectors = np.float32(got["float"])
    decoded = [np.frombuffer(base64.b64decode(text), "<f4") for text in got["base64"]]
    np.testing.assert_array_equal(decoded, vectors)
    np.testing.assert_array_equal(np.unpackbits(np.uint8(got["ubinary"]), axis=1), vectors > 0)
    np.testing.assert_array_equal(np.int16(got["binary"]) + 128, got["ubinary"])
    np.testing.assert_array_equal(np.int16(got["int8"]) + 128, got["uint8"])
    assert (np.abs(got["int8"]).max(axis=1) == 127).all()


def test_bits_are_packed_as_the_clients_unpack_them():
    alternating = np.array([[1, -1, 1, -1, 1, -1, 1, -1]], np.float32)
    assert (as_ubinary(alternating).item(), as_binary(alternating).item()) == (170, 42)
    for none in (np.full((1, 8), -1, np.float32), np.zeros((1, 8), np.float32)):
        assert (as_ubinary(none).item(), as_binary(none).item()) == (0, -128)
    assert (as_ubinary(-alternating).item(), as_binary(-alternating).item()) == (85, -43)


def test_bytes():
    vectors = np.array([[0.5, -1.0, 0.25], [0, 0, 0]], np.float32)
    assert as_int8(vectors).tolist() == [[64, -127, 32], [0, 0, 0]]
    assert as_uint8(vectors).tolist() == [[192, 1, 160], [128, 128, 128]]


async def test_input_type_never_refuses(fake):
    gateway = fake().gateway
    for model in ("embed", "plain"):
        for said, prompt in (
            ("search_query", "query"),
            ("search_document", "document"),
            ("nonsense", ""),
            (None, None),
        ):
            body = asked(model=model, texts=["a"], input_type=said)
            got = (await post(gateway, "/v2/embed", body)).json["embeddings"]["float"]
            expected = vector_of("a", prompt_name=prompt if model == "embed" else None)
            np.testing.assert_array_equal(np.float32(got), [expected])


async def test_every_optional_field_null_and_97_texts(fake):
    names = (
        "input_type",
        "embedding_types",
        "output_dimension",
        "truncate",
        "images",
        "inputs",
        "max_tokens",
        "priority",
    )
    answered = await post(fake().gateway, "/v2/embed", asked(texts=["a"] * 97, **dict.fromkeys(names)))
    assert np.shape(answered.json["embeddings"]["float"]) == (97, DIMENSIONS)


async def test_inputs(fake):
    inputs = [{"content": [{"type": "text", "text": text}]} for text in ("a", "b c")]
    body = {"model": "embed", "inputs": inputs, "output_dimension": 4}
    got = (await post(fake().gateway, "/v2/embed", body)).json["embeddings"]["float"]
    np.testing.assert_array_equal(np.float32(got), [vector_of(text, dimensions=4) for text in ("a", "b c")])


async def test_which_end_is_cut(fake):
    gateway = fake().gateway
    for way, cut in (("END", "end"), ("START", "start")):
        got = (await post(gateway, "/v2/embed", asked(texts=[LONG], truncate=way))).json["embeddings"]["float"]
        np.testing.assert_array_equal(np.float32(got), [vector_of(LONG, truncate=cut)])
    refused = await post(gateway, "/v2/embed", asked(texts=["a", LONG], truncate="NONE"))
    assert (refused.status, refused.json) == (400, {"message": "texts[1] has 22 tokens, the limit is 8"})


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"texts": None}, "texts is missing"),
        ({"texts": []}, "texts cannot be empty"),
        ({"texts": "a"}, "texts is a text, expected a list of texts"),
        ({"images": ["data:"]}, "images cannot be embedded by a model of text"),
        (
            {"texts": None, "inputs": [{"content": [{"type": "image_url"}]}]},
            "inputs has something else than one text in the content at 0",
        ),
        ({"texts": None, "inputs": [3]}, "inputs has something else than one text in the content at 0"),
        ({"embedding_types": []}, "embedding_types is no list of words"),
        (
            {"embedding_types": ["md5"]},
            "embedding_types has 'md5', expected float, int8, uint8, binary, ubinary, base64",
        ),
        (
            {"embedding_types": [1]},
            "embedding_types has something else, expected float, int8, uint8, binary, ubinary, base64",
        ),
        ({"truncate": "MIDDLE"}, "truncate is 'MIDDLE', expected one of 'NONE', 'END', 'START'"),
        ({"output_dimension": 17}, "output_dimension is 17, the vectors of this model have 16"),
        (
            {"output_dimension": 4, "embedding_types": ["binary"]},
            "embedding_types has bits, eight in a byte, and vectors have 4 components",
        ),
        (
            {"model": "four", "embedding_types": ["ubinary"]},
            "embedding_types has bits, eight in a byte, and vectors have 4 components",
        ),
    ],
)
async def test_what_is_wrong_is_named(fake, field, message):
    gateway = fake(aliases=(Alias(name="four", pipeline="embed", dimensions=4),)).gateway
    answered = await post(gateway, "/v2/embed", asked(**field))
    assert (answered.status, answered.json) == (400, {"message": message})
