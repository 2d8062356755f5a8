"""Health and metrics."""

import asyncio

import pytest
from unit.gateway.asgi import get, post
from unit.gateway.pipelines import EMBED, PIPELINES, PLAIN, answer

from encserve import AccessDenied, AsyncClient, InferenceFailed, InvalidInput, Overloaded, Unavailable
from encserve.testing import AsyncFakeTransport, fake_pipeline


def failing(error, *names):
    def function(request):
        if request.model in names:
            raise error("a reason")
        return answer(request)

    return function


@pytest.mark.parametrize("path", ["/health", "/ping"])
async def test_all_answer(fake, path):
    answered = await get(fake().gateway, path)
    assert answered.status == 200
    assert answered.json == {"status": "ready", "pipelines": {each.name: "ready" for each in PIPELINES}}


async def test_overload_is_life(fake, monkeypatch):
    monkeypatch.setattr("encserve_gateway.pipelines.health.TIMEOUT_S", 0.05)
    gateway = fake(failing(Overloaded, "embed", "plain"), pipelines=(EMBED, PLAIN), timeout_s=0.05).gateway
    answered = await get(gateway, "/health")
    assert (answered.status, answered.json["status"]) == (200, "overloaded")


@pytest.mark.parametrize("error", [Unavailable, InferenceFailed])
async def test_death_is_not(fake, error):
    answered = await get(fake(failing(error, *(each.name for each in PIPELINES))).gateway, "/health")
    assert (answered.status, answered.json["status"]) == (503, "silent")


async def test_one_that_lives_is_enough_and_the_others_are_told(fake):
    answered = await get(fake(failing(Unavailable, "plain")).gateway, "/health")
    assert (answered.status, answered.json["status"]) == (200, "ready")
    assert answered.json["pipelines"]["plain"] == "silent"


async def test_checks_at_the_same_time_ask_once(fake):
    gateway = fake(pipelines=(PLAIN,))
    await asyncio.gather(*(get(gateway.gateway, "/health") for _ in range(20)))
    await get(gateway.gateway, "/health")
    assert len(gateway.requests) == 1


async def test_every_task_has_a_question():
    from encserve._verbs.table import VERBS
    from encserve_gateway.pipelines.health import QUESTIONS

    assert QUESTIONS.keys() == {task for verb in VERBS.values() for task in verb.tasks}


async def test_a_pipeline_whose_texts_have_a_least_length_is_asked_for_one_token_all_the_same():
    from encserve_gateway.pipelines.health import QUESTIONS

    asked = []

    def answer(request):
        asked.append(dict(request.parameters))
        raise InvalidInput("that is all")

    pipeline = fake_pipeline(task="text2text-generation", option_defaults={"min_new_tokens": 30})
    async with AsyncClient(transport=AsyncFakeTransport(answer, pipelines=[pipeline])) as client:
        with pytest.raises(InvalidInput):
            await QUESTIONS[pipeline.task](client, pipeline)
    assert asked == [{"max_new_tokens": 1, "min_new_tokens": 0}]


@pytest.mark.parametrize("error", [AccessDenied, InvalidInput])
async def test_a_server_that_lists_nothing(fake, monkeypatch, caplog, error):
    def denied(transport):
        raise error("for operators, or over TLS")

    monkeypatch.setattr("encserve.testing.AsyncFakeTransport._models", denied)
    gateway = fake().gateway
    assert (await get(gateway, "/health")).status == 503
    gateway.services.upstream._listed_at_s = None  # a list is believed for some seconds
    assert (await get(gateway, "/v1/models")).json["data"] == []
    assert caplog.text.count("--model") == 1
    assert (await post(gateway, "/v1/embeddings", {"input": "a", "model": "embed"})).status == 200
    unnamed = await post(gateway, "/v1/embeddings", {"input": "a"})
    assert (unnamed.status, unnamed.json["error"]["param"]) == (400, "model")
    named = fake(models=("embed",)).gateway
    assert (await get(named, "/health")).json["pipelines"] == {"embed": "ready"}


async def test_requests_that_name_no_model_at_the_same_time_list_them_once(fake, monkeypatch):
    listed = []
    models = AsyncFakeTransport._models
    monkeypatch.setattr(AsyncFakeTransport, "_models", lambda transport: listed.append(1) or models(transport))
    gateway = fake().gateway
    answered = await asyncio.gather(*(post(gateway, "/v1/embeddings", {"input": "a"}) for _ in range(20)))
    assert {each.status for each in answered} == {200}
    assert len(listed) == 1


async def test_the_process_lives_whatever_the_pipelines_do(fake):
    assert (await get(fake(failing(Unavailable, *(each.name for each in PIPELINES))).gateway, "/live")).status == 200


async def test_metrics(fake):
    gateway = fake()
    long = " ".join("abcdefghij")
    await post(gateway.gateway, "/v1/embeddings", {"input": ["a", long], "model": "embed"})
    await post(gateway.gateway, "/v1/embeddings", {"input": "a", "model": "made up by a caller"})
    await post(gateway.gateway, "/made/up", {})
    labels = {"route": "/v1/embeddings", "dialect": "openai"}
    assert gateway.number("requests_total", **labels, model="embed", code="200") == 1
    assert gateway.number("requests_total", **labels, model="", code="404") == 1
    assert gateway.number("requests_total", route="unknown", dialect="openai", model="", code="404") == 1
    assert gateway.number("request_duration_seconds_count", **labels, model="embed") == 1
    assert gateway.number("texts_total", model="embed") == 2
    assert gateway.number("tokens_total", model="embed") == 11
    assert gateway.number("cut_texts_total", model="embed") == 1
    assert gateway.number("dropped_tokens_total", model="embed") == 4
    assert gateway.number("refused_requests_total", reason="unknown_model") == 1
    page = await get(gateway.gateway, "/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert b"made up" not in page.body
    assert b'encserve_gateway_requests_total{code="200"' in page.body
