"""A pipeline with a candidate: who is answered by it, that each call has one version, and that its end fails nobody."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from encserve import (
    AccessDenied,
    AsyncClient,
    Candidate,
    Client,
    ContractError,
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    Unavailable,
)
from encserve._conversation import information
from encserve._pipeline import PipelineInfo
from encserve.testing import AsyncFakeTransport, FakeTransport, fake_pipeline

CALLERS = [f"caller {number}" for number in range(2_000)]
ALICE = 0xEFE8D56A3C1E192F / 2**64
"""Of `printf minilm:alice | sha256sum`, the first sixteen digits."""
LABELS = {"task": "text-classification", "labels": ("no", "yes"), "dimensions": 2}


def pipelines(share, **changes):
    """Version 1 of "fake" with version 2 as its candidate, whose certificate is another."""
    candidate = Candidate(version="2", share=share)
    return [
        fake_pipeline(**changes, candidate=candidate),
        fake_pipeline(**changes, name="fake_candidate", version="2", certificate="f" * 64),
    ]


def labels(request):
    rows = len(request.inputs["text"])
    counts = np.ones((1, rows), np.int32)
    return {
        "label": np.array([[[b"yes", b"no"]] * rows], object),
        "score": np.tile(np.array([0.9, 0.1], np.float32), (1, rows, 1)),
        "token_count": counts,
        "dropped_count": 0 * counts,
    }


def takers(share):
    return {caller for caller in CALLERS if Candidate(version="2", share=share).takes("fake", caller)}


def test_as_many_callers_as_the_share_says_and_a_larger_share_keeps_them():
    few, more = takers(0.05), takers(0.5)
    assert 60 < len(few) < 140  # four standard deviations
    assert few < more
    assert len(takers(1.0)) == len(CALLERS)


def test_the_fraction_is_that_of_sha256_as_the_documentation_says():
    assert Candidate(version="2", share=0.7).takes("minilm", "alice") == (ALICE < 0.7)
    assert not Candidate(version="2", share=ALICE).takes("minilm", "alice")
    assert Candidate(version="2", share=ALICE + 1e-9).takes("minilm", "alice")


def test_a_caller_has_all_answers_of_one_version(connect, model):
    client = connect(model, pipelines=pipelines(0.5))
    taken = takers(0.5)
    for caller in CALLERS[:20]:
        found = client.embed(["a"], caller=caller)
        assert (found.version, found.certificate[0]) == (("2", "f") if caller in taken else ("1", "0"))
        assert found.model == "fake"
    asked = {(request.model, request.model_version) for request in model.requests}
    assert asked == {("fake", ""), ("fake_candidate", "2")}


def test_the_caller_of_a_client_is_that_of_its_calls(connect, model):
    caller = next(iter(takers(0.05)))
    client = connect(model, pipelines=pipelines(0.05), caller=caller)
    assert client.embed(["a"]).version == "2"
    assert client.embed(["a"], caller=next(iter(set(CALLERS) - takers(0.05)))).version == "1"


def test_vectors_without_a_caller_and_bulk_without_a_caller_are_of_the_active_version(connect, model):
    client = connect(model, pipelines=pipelines(1.0))
    assert client.embed(["a"]).version == "1"
    parts = []
    client.embed_iter(["a", "b"], parts)
    assert {part.version for part in parts} == {"1"}
    with Client(transport=FakeTransport(labels, pipelines=pipelines(1.0, **LABELS))) as labelling:
        assert labelling.classify(["a"], model="fake").version == "2"
        assert labelling.classify(["a"], model="fake", priority="bulk").version == "1"
        assert labelling.classify(["a"], model="fake", priority="bulk", caller="me").version == "2"


def test_other_calls_without_a_caller_are_drawn_one_by_one():
    with Client(transport=FakeTransport(labels, pipelines=pipelines(0.3, **LABELS))) as client:
        versions = [client.classify(["a"], model="fake").version for _ in range(500)]
    assert 90 < versions.count("2") < 210  # five standard deviations
    assert set(versions) == {"1", "2"}


def test_a_call_may_say_which_version_it_wants(connect, model):
    client = connect(model, pipelines=pipelines(0.5))
    (inside, *_), (outside, *_) = takers(0.5), set(CALLERS) - takers(0.5)
    assert client.embed(["a"], version="active", caller=inside).version == "1"
    assert client.embed(["a"], version="candidate", caller=outside).version == "2"
    with pytest.raises(InvalidInput, match="version is '2', expected one of 'active', 'candidate'"):
        client.embed(["a"], version="2")
    end(client)
    with pytest.raises(ModelNotFound):
        client.embed(["a"], version="candidate")
    with pytest.raises(ModelNotFound, match="no candidate now"):
        client.embed(["a"], version="candidate")
    assert client.embed(["a"], caller=inside).version == "1"


def test_the_model_of_a_candidate_can_be_asked_by_its_own_name(connect, model):
    client = connect(model, pipelines=pipelines(0.5))
    assert client.pipeline("fake_candidate").certificate == "f" * 64
    found = client.embed(["a"], model="fake_candidate")
    assert (found.model, found.version) == ("fake_candidate", "2")


def test_all_parts_of_a_call_are_of_one_version(connect, model):
    client = connect(model, pipelines=pipelines(1.0), texts_per_request=2)
    found = client.embed(["a" * size for size in range(20)], caller="me")
    assert found.version == "2"
    assert {request.model for request in model.requests} == {"fake_candidate"}
    parts = []
    client.embed_iter(["a" * size for size in range(20)], parts, caller="me")
    assert {part.version for part in parts} == {"2"}
    assert {part.model for part in parts} == {"fake"}


def test_no_texts_are_nothing_of_the_pipeline(connect, model):
    found = connect(model, pipelines=pipelines(1.0)).embed([], caller="me")
    assert (len(found), found.model) == (0, "fake")


def end(client):
    client.client._transport._served.pop("fake_candidate", None)


def test_the_end_of_a_candidate_fails_no_caller(connect, model):
    client = connect(model, pipelines=pipelines(1.0))
    assert client.embed(["a"], caller="me").version == "2"
    end(client)
    assert client.embed(["a"], caller="me").version == "1"
    asked = len(model.requests)
    assert client.embed(["a"], caller="me").version == "1"
    assert [request.model for request in model.requests[asked:]] == ["fake"]  # and is not looked for again


def test_a_candidate_that_is_not_there_fails_no_caller(connect, model):
    client = connect(model, pipelines=pipelines(1.0)[:1])
    assert client.embed(["a"], caller="me").version == "1"
    parts = []
    client.embed_iter(["a"], parts, caller="me")
    assert [part.version for part in parts] == ["1"]


def test_rows_that_were_handed_over_are_followed_by_none_of_another_version(connect):
    client = None

    def answer(request):
        if b"last" in request.inputs["text"]:
            end(client)
        rows = len(request.inputs["text"])
        counts = np.ones((1, rows), np.int32)
        return {"embedding": np.ones((1, rows, 3), np.float32), "token_count": counts, "dropped_count": 0 * counts}

    client = connect(answer, pipelines=pipelines(1.0), texts_per_request=1, concurrency=1)
    parts = []
    with pytest.raises(ContractError, match="from version 2 to 1"):
        client.embed_iter(["first", "second", "last", "after"], parts, caller="me")
    assert {part.version for part in parts} == {"2"}


def test_what_a_candidate_fails_at_is_told_with_its_version(connect):
    def answer(request):
        raise InferenceFailed("NaN", model=request.model, version=request.model_version)

    client = connect(answer, pipelines=pipelines(1.0))
    with pytest.raises(InferenceFailed) as failed:
        client.embed(["a"], caller="me")
    assert failed.value.version == "2"


def test_a_candidate_that_comes_and_one_that_goes_are_seen_after_a_while(connect, model, monkeypatch):
    monkeypatch.setattr(information, "CANDIDATES_S", 0.0)
    active, candidate = pipelines(1.0)
    client = connect(model, pipelines=[replace(active, candidate=None), candidate])
    served = client.client._transport._served
    assert client.embed(["a"], caller="me").version == "1"
    served["fake"] = active
    assert client.embed(["a"], caller="me").version == "2"
    served["fake"] = replace(active, candidate=None)
    assert client.embed(["a"], caller="me").version == "1"


def test_until_then_nothing_is_asked_again(connect, model):
    active, candidate = pipelines(1.0)
    client = connect(model, pipelines=[replace(active, candidate=None), candidate])
    assert client.embed(["a"], caller="me").version == "1"
    client.client._transport._served["fake"] = active
    assert client.embed(["a"], caller="me").version == "1"


@pytest.mark.parametrize("error", [AccessDenied("no"), Unavailable("down"), DeadlineExceeded("late")])
def test_a_server_that_does_not_say_again_what_is_known_fails_no_call(connect, model, monkeypatch, error):
    monkeypatch.setattr(information, "CANDIDATES_S", 0.0)
    client = connect(model, pipelines=pipelines(1.0))
    assert client.embed(["a"], caller="me").version == "2"
    asked = refuse_descriptions(monkeypatch, client.client._transport, error)
    assert client.embed(["a"], caller="me").version == "2"
    assert asked == ["fake"] or isinstance(error, Unavailable)
    assert client.embed(["a"], timeout_s=5).version == "1"


def test_one_call_asks_again_and_no_other_waits_for_it(model, monkeypatch):
    transport = AsyncFakeTransport(model, pipelines=pipelines(1.0))

    async def ask():
        async with AsyncClient(transport=transport, coalesce=False) as client:
            await client.embed(["a"], model="fake")
            client._conversation._information._refresh_at_s["fake"] = 0.0
            describe, release = transport.pipeline_config, asyncio.Event()

            async def held(model, **options):
                await release.wait()
                return await describe(model, **options)

            monkeypatch.setattr(transport, "pipeline_config", held)
            first = asyncio.create_task(client.embed(["a"], model="fake"))
            await asyncio.sleep(0)
            others = await asyncio.gather(*(client.embed(["b"], model="fake") for _ in range(5)))
            assert not first.done()
            release.set()
            return [await first, *others]

    assert {found.version for found in asyncio.run(ask())} == {"1"}


def refuse_descriptions(monkeypatch, transport, error):
    """Have a transport fail at each description, and list here what it was asked about."""
    asked = []

    def refuse(model, **_):
        asked.append(model)
        raise error

    async def refuse_awaited(model, **_):
        refuse(model)

    awaited = isinstance(transport, AsyncFakeTransport)
    monkeypatch.setattr(transport, "pipeline_config", refuse_awaited if awaited else refuse)
    return asked


def test_calls_of_two_versions_share_no_request(model):
    async def ask():
        transport = AsyncFakeTransport(model, pipelines=pipelines(0.5))
        async with AsyncClient(transport=transport) as client:
            return await asyncio.gather(*(client.embed(["a"], model="fake", caller=name) for name in CALLERS[:20]))

    taken = takers(0.5)
    found = [answer.version for answer in asyncio.run(ask())]
    assert found == ["2" if name in taken else "1" for name in CALLERS[:20]]
    assert len(model.requests) < 20


def test_pipelines_are_listed_with_their_candidates_and_these_not_by_themselves(connect, model):
    (listed,) = connect(model, pipelines=pipelines(0.05)).models()
    assert (listed.name, listed.version, listed.candidate) == ("fake", "1", Candidate(version="2", share=0.05))


@pytest.mark.parametrize("text", ["", "{}", '{"version": "x", "share": 0.1}', '{"version": 2, "share": 0}', "[]"])
def test_a_malformed_candidate_breaks_the_contract(text):
    parameters = {**fake_pipeline().to_parameters(), "candidate": text}
    with pytest.raises(ContractError, match="no valid parameter 'candidate'"):
        PipelineInfo.from_parameters("fake", parameters)


@pytest.mark.parametrize("caller", ["", "two\nlines", "\ud800", 7, b"me"])
def test_what_is_no_name_of_a_caller_is_refused(connect, model, caller):
    with pytest.raises(InvalidInput, match="caller is"):
        connect(model).embed(["a"], caller=caller)
    with pytest.raises(InvalidInput, match="caller is"):
        connect(model, caller=caller)
    assert model.requests == []
