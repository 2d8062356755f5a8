"""A share of the traffic, asked again of a candidate: who answered the caller notices nothing, and only counts stay."""

import asyncio
import threading
from dataclasses import replace
from itertools import cycle
from types import SimpleNamespace

import numpy as np
import pytest
from unit.gateway import pipelines
from unit.gateway.asgi import post
from unit.gateway.pipelines import CLASSIFY, EMBED, Fake, answer

from encserve import Candidate, InferenceFailed, InvalidInput, Overloaded
from encserve_gateway.shadow import shadow

EVERYTHING = Candidate(version="2", shadow=1.0)
CLASSIFY_BODY = {"texts": ["a text", "another"], "model": "classify"}


class Shadowed(Fake):
    """A gateway before pipelines with candidates, which answer by `of_candidate`."""

    def __init__(self, candidate, of_candidate=answer):
        served = [
            each
            for pipeline in (EMBED, CLASSIFY)
            for each in (
                replace(pipeline, candidate=candidate, option_defaults={"lane": "interactive"}),
                replace(
                    pipeline, name=f"{pipeline.name}_candidate", version="2", option_defaults={"lane": "interactive"}
                ),
            )
        ]
        pipelines.PIPELINES, self.hold = served, asyncio.Event()
        self.hold.set()

        async def answered(request):
            if not request.model.endswith("_candidate"):
                return answer(request)
            await self.hold.wait()
            return of_candidate(request)

        super().__init__(function=answered, pipelines=served)

    async def ask(self, path="/v1/text-classification", body=CLASSIFY_BODY):
        answered = await post(self.gateway, path, body)
        assert answered.status == 200
        assert answered.headers["encserve-version"] == "1"
        return answered

    async def settle(self):
        """Until nothing is under way."""
        while self.gateway.services.shadow._under_way:
            await asyncio.sleep(0.001)

    def count(self, name, model="classify", **labels):
        return self.number(f"shadow_{name}", model=model, version="2", **labels)


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    monkeypatch.setattr(pipelines, "PIPELINES", pipelines.PIPELINES)


async def test_the_candidate_is_asked_the_same_in_bulk_and_once_the_caller_has_its_answer():
    fake = Shadowed(EVERYTHING)
    fake.hold.clear()
    await fake.ask()  # while the candidate hangs
    fake.hold.set()
    await fake.settle()
    active, copied = fake.requests
    assert (active.model, copied.model, copied.model_version) == ("classify", "classify_candidate", "2")
    assert copied.inputs["text"] == active.inputs["text"]
    assert copied.parameters.get("lane") == "bulk"
    assert fake.count("requests_total", outcome="answered") == 1
    assert (fake.count("texts_total"), fake.count("changed_texts_total")) == (2, 0)
    assert fake.count("score_difference_sum") == 0
    for which in ("active", "candidate"):
        assert fake.count("duration_seconds_count", which=which) == 1


async def test_what_differs_is_counted():
    def turned(request):
        tensors = dict(answer(request))
        tensors["label"] = tensors["label"][..., ::-1].copy()
        return tensors

    fake = Shadowed(EVERYTHING, turned)
    await fake.ask()
    await fake.settle()
    assert (fake.count("texts_total"), fake.count("changed_texts_total")) == (2, 2)
    assert fake.count("score_difference_sum") > 0


async def test_cosines_of_vectors():
    def opposite(request):
        tensors = dict(answer(request))
        return tensors | {"embedding": -tensors["embedding"]}

    fake = Shadowed(EVERYTHING, opposite)
    await fake.ask("/v1/embeddings", {"input": ["a", "b"], "model": "embed"})
    await fake.settle()
    assert fake.count("cosine_count", model="embed") == 2
    assert fake.count("cosine_sum", model="embed") == pytest.approx(-2, abs=1e-5)


@pytest.mark.parametrize(
    ("error", "outcome", "told"),
    [
        (Overloaded("no room"), "dropped", []),
        (
            InferenceFailed("NaN"),
            "failed",
            ["version 2 of classify failed at a question asked again: NaN; no row of 2 is done"],
        ),
        (InvalidInput("no prompt 'x'"), "failed", ["version 2 of classify refused a question asked again"]),
    ],
    ids=repr,
)
async def test_a_refusal_drops_it_at_once_and_a_failure_is_counted_and_told(error, outcome, told, caplog):
    asked = []

    def refuse(request):
        asked.append(request)
        raise error

    fake = Shadowed(EVERYTHING, refuse)
    await fake.ask()
    await fake.settle()
    assert len(asked) == 1
    assert fake.count("requests_total", outcome=outcome) == 1
    assert fake.count("texts_total") == 0
    assert [record.getMessage() for record in caplog.records] == told


async def test_a_comparison_that_breaks_is_counted_and_told_without_what_it_was_about(monkeypatch, caplog):
    def broken(active, candidate):
        raise ValueError("a text of a caller")

    monkeypatch.setattr(shadow, "differences", broken)
    fake = Shadowed(EVERYTHING)
    await fake.ask()
    await fake.settle()
    assert fake.count("requests_total", outcome="failed") == 1
    (record,) = caplog.records
    assert "ValueError" in record.getMessage()
    assert "a text of a caller" not in caplog.text


async def test_numbers_that_are_not_finite_are_a_failure_and_in_no_histogram():
    def broken(request):
        tensors = dict(answer(request))
        return tensors | {"embedding": np.full_like(tensors["embedding"], np.nan)}

    fake = Shadowed(EVERYTHING, broken)
    await fake.ask("/v1/embeddings", {"input": ["a", "b"], "model": "embed"})
    await fake.settle()
    assert fake.count("requests_total", model="embed", outcome="failed") == 1
    assert fake.count("cosine_count", model="embed") == 0


async def test_other_requests_have_their_turn_while_long_answers_are_compared(monkeypatch):
    threads = []
    monkeypatch.setattr(shadow, "differences", lambda active, candidate: threads.append(threading.current_thread()))
    fake = Shadowed(EVERYTHING)
    await fake.ask()
    await fake.settle()
    assert threads != [threading.current_thread()]
    assert fake.count("requests_total", outcome="answered") == 1


async def test_more_than_a_few_at_once_are_dropped(monkeypatch):
    monkeypatch.setattr(shadow, "MOST_AT_ONCE", 2)
    fake = Shadowed(EVERYTHING)
    fake.hold.clear()
    for _ in range(5):
        await fake.ask()
    assert fake.count("requests_total", outcome="dropped") == 3
    fake.hold.set()
    await fake.settle()
    assert fake.count("requests_total", outcome="answered") == 2


async def test_a_share_of_the_traffic_and_none_without_one(monkeypatch):
    fake = Shadowed(Candidate(version="2", shadow=0.3))
    draws = cycle(np.linspace(0, 0.99, 20))
    monkeypatch.setattr(shadow, "random", SimpleNamespace(random=lambda: next(draws)))
    for _ in range(20):
        await fake.ask()
        await fake.settle()
    assert fake.count("requests_total", outcome="answered") == 6
    fake = Shadowed(Candidate(version="2", share=1e-9))
    await fake.ask("/v1/embeddings", {"input": ["a", "b"], "model": "embed"})
    assert {request.model for request in fake.requests} == {"embed"}


async def test_what_is_under_way_ends_with_the_gateway():
    fake = Shadowed(EVERYTHING)
    fake.hold.clear()
    await fake.ask()
    await fake.gateway.services.shadow.close()
    await fake.settle()
    assert fake.count("requests_total", outcome="answered") == 0
