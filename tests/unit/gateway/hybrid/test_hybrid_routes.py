"""Pipelines with three outputs behind their own route, and behind those of each output."""

import numpy as np
import pytest
from unit.client.hybrid.test_embed_hybrid import m3
from unit.gateway.asgi import post

from encserve.testing import fake_pipeline

M3 = fake_pipeline(name="m3", task="hybrid-embedding", dimensions=3, max_length=64)


def answer(request):
    sizes = np.array([[len(text) for text in request.inputs["text"]]], np.int32)
    return {"token_count": sizes, "dropped_count": sizes * 0, **m3(request)}


@pytest.fixture
def gateway(fake):
    return fake(answer, pipelines=(M3,))


async def test_its_own_route_has_all(gateway):
    answered = await post(gateway.gateway, "/v1/hybrid-embedding", {"texts": ["aa", "b"]})
    assert answered.status == 200, answered.body
    assert answered.json["vectors"] == [[1, 1, 1], [1, 1, 1]]
    assert answered.json["token_ids"] == [[0, 1], [2]]
    assert answered.json["token_vectors"] == [[[0, 1], [2, 3]], [[4, 5]]]
    some = await post(gateway.gateway, "/v1/hybrid-embedding", {"texts": ["aa"], "dense": False, "tokens": False})
    assert some.json.keys() & {"vectors", "weights", "token_vectors", "offsets"} == {"weights"}
    assert gateway.requests[-1].parameters == {"dense": False, "tokens": False}


@pytest.mark.parametrize(
    ("path", "body", "read", "expected", "off"),
    [
        ("/v1/embeddings", {"input": ["aa"]}, lambda found: found["data"][0]["embedding"], [1, 1, 1], "dense"),
        ("/v1/feature-extraction", {"texts": ["aa"]}, lambda found: found["vectors"][0], [1, 1, 1], "dense"),
        ("/embed", {"inputs": ["aa"]}, lambda found: found[0], [1, 1, 1], "dense"),
        ("/embed_sparse", {"inputs": ["aa"]}, lambda found: [each["index"] for each in found[0]], [0, 1], "sparse"),
        ("/embed_all", {"inputs": ["aa"]}, lambda found: found[0], [[0, 1], [2, 3]], "tokens"),
        ("/pooling", {"input": ["aa"], "model": "m3"}, lambda found: found["data"][0]["data"], [1, 1, 1], "dense"),
        (
            "/pooling",
            {"input": ["aa"], "task": "token_embed"},
            lambda found: found["data"][0]["data"],
            [[0, 1], [2, 3]],
            "tokens",
        ),
        ("/models/m3", {"inputs": ["aa"]}, lambda found: found[0], [1, 1, 1], "dense"),
    ],
)
async def test_routes_of_one_output_ask_for_that_alone(gateway, path, body, read, expected, off):
    answered = await post(gateway.gateway, path, body)
    assert answered.status == 200, answered.body
    assert read(answered.json) == expected
    parameters = gateway.requests[0].parameters
    assert {name for name in ("dense", "sparse", "tokens") if parameters.get(name) is not False} == {off}
