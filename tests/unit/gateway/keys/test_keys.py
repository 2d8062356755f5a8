"""API keys: who is let in, to what, and how often; and that nobody is told of them."""

from dataclasses import replace

import pytest
from unit.gateway.asgi import ask, get, post
from unit.gateway.pipelines import PIPELINES

from encserve import Unavailable
from encserve_gateway.aliases import Alias
from encserve_gateway.faults import Fault, Kind
from encserve_gateway.keys import Keys

from .alice import PATH, SECRET, hashed, request

GOOD = {"input": "a", "model": "embed"}

SHOWN = {
    "bearer": {"authorization": f"Bearer {SECRET}"},
    "bearer in small letters": {"authorization": f"bearer {SECRET}"},
    "x-api-key": {"x_api_key": SECRET},
    "api-key": {"api_key": SECRET},
}


@pytest.mark.parametrize("headers", SHOWN.values(), ids=SHOWN)
async def test_ways_to_show_a_key(fake, alice, headers):
    gateway = fake(keys=alice())
    assert (await post(gateway.gateway, PATH, GOOD, **headers)).status == 200
    assert gateway.number("key_requests_total", key="alice", code="200") == 1


async def test_a_key_without_the_word_bearer(fake, write):
    gateway = fake(keys=write({"name": "llama", "sha256": hashed("raw")})).gateway
    assert (await post(gateway, "/rerank", {"query": "q", "texts": ["a"]}, authorization="raw")).status == 200


WRONG = {
    "none": ({}, "the API key is missing"),
    "an empty one": ({"authorization": "Bearer "}, "the API key is missing"),
    "another": ({"authorization": "Bearer other"}, "the API key is not valid"),
    "its hash": ({"authorization": f"Bearer {hashed()}"}, "the API key is not valid"),
}


@pytest.mark.parametrize(("headers", "message"), WRONG.values(), ids=WRONG)
async def test_who_is_not_let_in(fake, alice, headers, message):
    gateway = fake(keys=alice())
    answered = await post(gateway.gateway, PATH, GOOD, **headers)
    assert (answered.status, answered.headers["www-authenticate"]) == (401, "Bearer")
    assert answered.headers["connection"] == "close"  # its body was not read
    assert answered.json["error"] == {
        "message": message,
        "type": "authentication_error",
        "param": None,
        "code": "invalid_api_key",
    }
    assert (await post(gateway.gateway, "/embed", {"inputs": "a"}, **headers)).json["error"] == message
    assert (await post(gateway.gateway, "/v2/embed", {"texts": ["a"]}, **headers)).json == {"message": message}
    assert gateway.requests == []


async def test_what_needs_no_key(fake, alice):
    for public, status in ((False, 401), (True, 200)):
        gateway = fake(keys=alice(), public_models=public).gateway
        for path in ("/health", "/ping", "/live"):
            assert (await get(gateway, path)).status == 200
        for path in ("/v1/models", "/models", "/v1/models/embed"):
            assert (await get(gateway, path)).status == status
        for path in ("/metrics", "/info"):
            assert (await get(gateway, path)).status == 401


async def test_health_names_pipelines_to_those_who_may_ask_them(fake, alice):
    body = {"status": "ready"}
    states = {each.name: "ready" for each in PIPELINES}
    key = {"x_api_key": SECRET}
    gateway = fake(keys=alice(requests_per_second=0.001)).gateway
    for path in ("/health", "/ping"):
        for headers in ({}, {"x_api_key": "other"}):
            answered = await get(gateway, path, **headers)
            assert (answered.status, answered.json) == (200, body)
        for _ in range(3):  # which counts against no rate
            assert (await get(gateway, path, **key)).json == body | {"pipelines": states}
    assert (await get(gateway, "/v1/models", **key)).status == 200
    other = Alias(name="other name", pipeline="classify")
    some = fake(keys=alice(models=["plain", "other name"]), aliases=(other,)).gateway
    of_some = {"plain": "ready", "classify": "ready"}
    assert (await get(some, "/health", **key)).json == body | {"pipelines": of_some}
    public = fake(keys=alice(), public_models=True).gateway
    assert (await get(public, "/health")).json == body | {"pipelines": states}


async def test_health_of_pipelines_that_do_not_answer_wants_no_key(fake, alice, monkeypatch):
    def silent(transport):
        raise Unavailable("nobody listens")

    monkeypatch.setattr("encserve.testing.AsyncFakeTransport._models", silent)
    gateway = fake(keys=alice(models=["plain"])).gateway
    answered = await get(gateway, "/health")
    assert (answered.status, answered.json) == (503, {"status": "silent"})
    assert (await get(gateway, "/health", x_api_key=SECRET)).json == {"status": "silent", "pipelines": {}}


async def test_the_models_of_a_key(fake, alice):
    gateway = fake(keys=alice(models=["plain", "classify"])).gateway
    key = {"x_api_key": SECRET}
    assert (await post(gateway, PATH, GOOD | {"model": "plain"}, **key)).status == 200
    refused = await post(gateway, PATH, GOOD, **key)
    assert (refused.status, refused.json["error"]["type"]) == (403, "permission_error")
    assert (await post(gateway, PATH, {"input": "a"}, **key)).json["model"] == "plain"
    assert [item["id"] for item in (await get(gateway, "/v1/models", **key)).json["data"]] == ["classify", "plain"]
    assert (await get(gateway, "/v1/models/embed", **key)).status == 403
    assert (await post(gateway, "/models/embed/embed", {"inputs": "a"}, **key)).status == 403
    assert (await post(gateway, "/", {"inputs": "a"}, **key)).status == 200
    assert (await post(gateway, "/v1/rerank", {"query": "q", "documents": ["a"]}, **key)).status == 404


async def test_the_lane_of_a_key(fake, alice):
    bodies = {
        PATH: GOOD,
        "/v1/rerank": {"query": "q", "documents": ["a"]},
        "/predict": {"inputs": "a"},
        "/embed_all": {"inputs": "a"},
        "/embed_sparse": {"inputs": "a"},
        "/models/tag": {"inputs": "a"},
        "/models/mask": {"inputs": "[MASK]"},
        "/models/question": {"inputs": {"question": "a", "context": "b"}},
        "/models/zero-shot": {"inputs": "a", "parameters": {"candidate_labels": ["a"]}},
    }
    for lane in ("bulk", None):
        laned = [replace(pipeline, option_defaults={"lane": "interactive"}) for pipeline in PIPELINES]
        gateway = fake(keys=alice(lane=lane), pipelines=laned)
        for path, body in bodies.items():
            assert (await post(gateway.gateway, path, body, x_api_key=SECRET)).status == 200, path
        assert [sent.parameters.get("lane") for sent in gateway.requests] == [lane] * len(bodies)


def test_the_rate_of_a_key(alice, clock):
    keys = Keys(alice(requests_per_second=2, burst=3), clock=clock)
    for _ in range(3):
        assert keys.admit(request(x_api_key=SECRET)).name == "alice"
    with pytest.raises(Fault, match="2 requests per second, and 3 at once") as refused:
        keys.admit(request(x_api_key=SECRET))
    assert (refused.value.kind, refused.value.retry_after_s) == (Kind.RATE_LIMITED, 0.5)
    clock.now_s += 0.5
    keys.admit(request(x_api_key=SECRET))
    with pytest.raises(Fault):
        keys.admit(request(x_api_key=SECRET))
    clock.now_s += 100
    for _ in range(3):
        keys.admit(request(x_api_key=SECRET))
    with pytest.raises(Fault):
        keys.admit(request(x_api_key=SECRET))


async def test_a_client_that_asks_too_often_is_told_when_to_come_back(fake, alice):
    gateway = fake(keys=alice(requests_per_second=0.001)).gateway
    assert (await post(gateway, PATH, GOOD, x_api_key=SECRET)).status == 200
    for path, kind in ((PATH, "rate_limit_error"), ("/embed", "Overloaded")):
        refused = await post(gateway, path, GOOD, x_api_key=SECRET)
        assert (refused.status, refused.headers["retry-after"]) == (429, "120")
        assert kind.encode() in refused.body


async def test_keys_are_told_to_nobody(fake, alice, caplog):
    gateway = fake(keys=alice())
    for key in (SECRET, "wrong " + SECRET):
        answered = await post(gateway.gateway, PATH, GOOD, x_api_key=key)
        page = await get(gateway.gateway, "/metrics", x_api_key=SECRET)
        for told in (answered.body, page.body, caplog.text.encode()):
            assert SECRET.encode() not in told
            assert hashed().encode() not in told


async def test_an_unknown_route_is_404_with_and_without_a_key(fake, alice):
    gateway = fake(keys=alice()).gateway
    assert (await ask(gateway, "POST", "/nothing")).status == 404
    assert (await get(gateway, PATH)).status == 405
