"""`instruction` of vLLM: what documents are to be judged by, of models that are asked in words."""

from dataclasses import replace

import pytest
from unit.gateway.asgi import post
from unit.gateway.pipelines import RERANK

IN_WORDS = replace(RERANK, option_defaults={"instruction": None})
DOCUMENTS = ["a", "bb"]
RANKED = {"query": "q", "documents": DOCUMENTS, "model": "rerank"}
SCORED = {"queries": "q", "documents": DOCUMENTS}
ROUTES = [
    *((path, RANKED) for path in ("/rerank", "/v1/rerank", "/v2/rerank")),
    *((path, SCORED) for path in ("/score", "/v1/score")),
    ("/score", SCORED | {"queries": ["q", "r"]}),
]
OTHERS = [
    *((path, {"query": "q", "texts": DOCUMENTS}) for path in ("/rerank", "/models/rerank/rerank", "/models/rerank")),
    ("/v1/ranking", {"query": {"text": "q"}, "passages": [{"text": "a"}], "model": "rerank"}),
]


@pytest.mark.parametrize(("path", "body"), ROUTES)
@pytest.mark.parametrize("instruction", ["Does it rain?", ""])
async def test_it_reaches_the_pipeline_with_each_request(fake, path, body, instruction):
    gateway = fake(pipelines=(IN_WORDS,))
    assert (await post(gateway.gateway, path, body | {"instruction": instruction})).status == 200
    assert {request.parameters["instruction"] for request in gateway.requests} == {instruction}


@pytest.mark.parametrize(("path", "body"), ROUTES)
async def test_who_gives_none_asks_for_none(fake, path, body):
    gateway = fake(pipelines=(IN_WORDS,))
    assert (await post(gateway.gateway, path, body | {"instruction": None})).status == 200
    assert not any("instruction" in request.parameters for request in gateway.requests)


@pytest.mark.parametrize(("path", "body"), ROUTES)
async def test_a_model_that_takes_none_does_not_answer_as_without_it(fake, path, body):
    gateway = fake(pipelines=(RERANK,))
    answered = await post(gateway.gateway, path, body | {"instruction": "Does it rain?"})
    assert answered.status == 400
    assert answered.json["error"] | {"code": None} == {
        "message": "instruction is there, and this model takes none: it is not asked in words",
        "type": "invalid_request_error",
        "param": "instruction",
        "code": None,
    }
    assert not gateway.requests


@pytest.mark.parametrize(("path", "body"), OTHERS)
async def test_routes_whose_services_have_no_such_field_refuse_it(fake, path, body):
    gateway = fake(pipelines=(IN_WORDS,))
    answered = await post(gateway.gateway, path, body | {"instruction": "Does it rain?"})
    assert answered.status in (400, 422)
    assert "instruction is no field of this route; /v1/rerank" in str(answered.json["error"])
    assert not gateway.requests
    assert (await post(gateway.gateway, path, body | {"instruction": None})).status == 200


async def test_it_is_a_text(fake):
    answered = await post(fake(pipelines=(IN_WORDS,)).gateway, "/v1/rerank", RANKED | {"instruction": ["a"]})
    assert (answered.status, answered.json["error"]["message"]) == (400, "instruction is a list, expected a text")
