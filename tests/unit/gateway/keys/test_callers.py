"""Who asks, as pipelines with a candidate are told: the key, or whom it names."""

from dataclasses import replace

import pytest
from unit.gateway import pipelines
from unit.gateway.asgi import get, post
from unit.gateway.pipelines import CLASSIFY, EMBED, RERANK, Fake, answer

from encserve import Candidate, InferenceFailed

from .alice import SECRET, hashed

SHARE = 0.5
CANDIDATE = Candidate(version="2", share=SHARE)


def with_candidate(pipeline):
    return [
        replace(pipeline, candidate=CANDIDATE),
        replace(pipeline, name=f"{pipeline.name}_candidate", version="2"),
    ]


@pytest.fixture
def gateway(monkeypatch):
    """Makes gateways before pipelines that have candidates."""
    served = [*with_candidate(EMBED), *with_candidate(CLASSIFY), *with_candidate(RERANK)]
    monkeypatch.setattr(pipelines, "PIPELINES", served)
    return lambda **settings: Fake(pipelines=served, **settings)


NAMES = [f"user {number}" for number in range(200)]
TAKEN = next(name for name in NAMES if CANDIDATE.takes("embed", name))
LEFT = next(name for name in NAMES if not CANDIDATE.takes("embed", name))
TAKEN_RANKINGS = next(name for name in NAMES if CANDIDATE.takes("rerank", name))
LEFT_RANKINGS = next(name for name in NAMES if not CANDIDATE.takes("rerank", name))


async def version(fake, **headers):
    answered = await post(fake.gateway, "/v1/embeddings", {"model": "embed", "input": "a"}, **headers)
    assert answered.status == 200
    return answered.headers["encserve-version"]


async def test_the_header_decides_where_a_key_may_name_its_callers(gateway, write):
    fake = gateway(keys=write({"name": LEFT, "sha256": hashed(), "callers": True}))
    key = {"authorization": f"Bearer {SECRET}"}
    assert await version(fake, **key) == "1"
    assert await version(fake, **key, encserve_caller=TAKEN) == "2"
    assert await version(fake, **key, encserve_caller=LEFT) == "1"
    assert fake.number("version_requests_total", model="embed", version="2", code="200") == 1


async def test_else_the_key_is_the_caller(gateway, write):
    key = {"authorization": f"Bearer {SECRET}"}
    for name, expected in ((TAKEN, "2"), (LEFT, "1")):
        fake = gateway(keys=write({"name": name, "sha256": hashed()}))
        assert await version(fake, **key, encserve_caller=TAKEN) == expected


async def test_without_keys_everybody_may_name_a_caller_and_without_one_vectors_are_of_the_active_version(gateway):
    fake = gateway()
    assert await version(fake, encserve_caller=TAKEN) == "2"
    assert {await version(fake) for _ in range(10)} == {"1"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/text-classification", {"texts": ["a"], "model": "classify"}),
        ("/predict", {"inputs": "a"}),
        ("/embed", {"inputs": "a", "model": "embed"}),
        ("/v1/feature-extraction", {"texts": ["a"], "model": "embed"}),
    ],
)
async def test_every_dialect_tells_who_asks(gateway, path, body):
    fake = gateway()
    pipeline = "classify" if path in ("/predict", "/v1/text-classification") else "embed"
    for name in NAMES[:12]:
        answered = await post(fake.gateway, path, body, encserve_caller=name)
        assert answered.status == 200, answered.json
        assert answered.headers["encserve-version"] == ("2" if CANDIDATE.takes(pipeline, name) else "1")


async def test_a_caller_that_cannot_be_printed_is_refused(gateway):
    answered = await post(gateway().gateway, "/v1/embeddings", {"model": "embed", "input": "a"}, encserve_caller="a\tb")
    assert answered.status == 400
    assert "encserve-caller" in answered.json["error"]["message"]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
async def test_a_caller_is_the_same_one_as_in_the_sdk_whatever_alphabet_its_client_writes(gateway, encoding):
    fake = gateway()
    for name in (f"Àlex ñ {number}" for number in range(12)):
        expected = "2" if CANDIDATE.takes("embed", name) else "1"
        assert await version(fake, encserve_caller=name.encode(encoding)) == expected


async def test_scores_that_stand_side_by_side_are_of_one_version(gateway):
    fake, several = gateway(), [str(number) for number in range(20)]
    body = {"model": "rerank", "queries": several, "documents": several}
    assert (await post(fake.gateway, "/score", body)).status == 200
    assert {request.model for request in fake.requests} == {"rerank"}
    for name in (TAKEN_RANKINGS, LEFT_RANKINGS):
        fake.requests.clear()
        await post(fake.gateway, "/score", body, encserve_caller=name)
        assert len({request.model for request in fake.requests}) == 1
    fake.requests.clear()
    for _ in range(40):  # one query is one call
        await post(fake.gateway, "/score", {**body, "queries": "a"})
    assert {request.model for request in fake.requests} == {"rerank", "rerank_candidate"}


async def test_a_candidate_that_fails_takes_nothing_from_the_health_of_the_pipeline(gateway):
    def failing(request):
        if request.model.endswith("_candidate"):
            raise InferenceFailed("NaN")
        return answer(request)

    fake = gateway(function=failing)
    for _ in range(8):
        fake.gateway.services.health._seen = None
        pipelines = (await get(fake.gateway, "/health")).json["pipelines"]
        assert pipelines == {"embed": "ready", "classify": "ready", "rerank": "ready"}


async def test_the_list_of_models_has_the_candidate_of_each(gateway):
    candidate = {"version": "2", "share": SHARE, "shadow": 0.0}
    listed = (await get(gateway().gateway, "/v1/models")).json["data"]
    assert [model["candidate"] for model in listed] == [candidate] * 3
    assert (await get(gateway().gateway, "/v1/models/embed")).json["candidate"] == candidate
    assert "candidate" not in (await get(Fake(pipelines=[EMBED]).gateway, "/v1/models/embed")).json
