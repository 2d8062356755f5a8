"""Calls of many requests while ten replicas get another version, one after the other: none fails, and each has one
version. In virtual time."""

import asyncio
import random

import pytest
from unit.client.conftest import answer
from unit.client.conversation.test_bursts import follow_the_loop
from unit.loadtest.virtual_time import run_virtual

from encserve import AsyncClient, ModelNotFound
from encserve._transport.replicas import Replica, Replicas
from encserve.testing import AsyncFakeTransport, fake_pipeline

PARTS = 12
TEXTS = ["a" * size for size in range(PARTS)]


class Fleet(AsyncFakeTransport):
    """Replicas behind one client, chosen as it chooses them; each has one version, and answers a request at a time."""

    def __init__(self, versions, *, service_s=0.05):
        super().__init__(lambda request: {})
        self.served = {str(number): fake_pipeline(version=version) for number, version in enumerate(versions)}
        self.refusals = 0
        self.answered = dict.fromkeys(self.served, 0)
        self._service_s = service_s
        self._free = {number: asyncio.Lock() for number in self.served}
        self._replicas = Replicas([Replica(name, None, None, connected=lambda: True) for name in self.served])

    def promote(self, number, version):
        self.served[str(number)] = fake_pipeline(version=version)

    def _version_of(self, number, version):
        served = self.served[number]
        if version not in ("", served.version):
            self.refusals += 1
            raise ModelNotFound(f"version {version} is not at ready state", model="fake", version=version)
        return served

    async def infer(self, request, *, timeout_s):
        with self._replicas.asking() as replica:
            await asyncio.sleep(0.001)
            self._version_of(replica.address, request.model_version)
            async with self._free[replica.address]:
                await asyncio.sleep(self._service_s)
                self._served["fake"] = self._version_of(replica.address, request.model_version)
                self.answered[replica.address] += 1
                return self._response(request, answer([len(text) for text in request.inputs["text"]]))

    async def pipeline_config(self, model, *, version="", timeout_s):
        with self._replicas.asking() as replica:
            await asyncio.sleep(0.001)
            return self._version_of(replica.address, version).to_parameters()


def hold(monkeypatch, versions, *, change=None, callers=4, calls=5, **settings):
    """Calls of twelve requests each, from several callers, while `change` goes on. Their answers or errors, and the
    fleet."""
    follow_the_loop(monkeypatch)
    random.seed(0)

    async def run():
        fleet = Fleet(versions)
        async with AsyncClient(transport=fleet, texts_per_request=1, coalesce=False, **settings) as client:

            async def caller():
                return [
                    (await asyncio.gather(client.embed(TEXTS, model="fake"), return_exceptions=True))[0]
                    for _ in range(calls)
                ]

            changing = asyncio.create_task(change(fleet)) if change else None
            outcomes = await asyncio.gather(*(caller() for _ in range(callers)))
            if changing:
                changing.cancel()
        return [outcome for each in outcomes for outcome in each], fleet

    return run_virtual(run())


def assert_answered(outcomes):
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert not errors, f"{len(errors)} of {len(outcomes)}: {errors[0]!r}"
    assert all(outcome.vectors[:, 0].tolist() == list(range(PARTS)) for outcome in outcomes)


@pytest.mark.parametrize("newer", [1, 3, 5, 9])
def test_each_call_has_one_version_and_the_few_that_have_the_newer_do_not_do_the_work_of_all(monkeypatch, newer):
    outcomes, fleet = hold(monkeypatch, ["2"] * newer + ["1"] * (10 - newer))
    assert_answered(outcomes)
    assert max(fleet.answered.values()) < 2 * sum(fleet.answered.values()) / 10


def test_where_half_have_the_newer_some_calls_have_it(monkeypatch):
    outcomes, _ = hold(monkeypatch, ["2"] * 5 + ["1"] * 5, calls=2)
    assert "2" in {outcome.version for outcome in outcomes}


@pytest.mark.parametrize(("before", "after"), [("9", "10"), ("10", "9")])
def test_no_call_fails_while_one_replica_after_the_other_changes(monkeypatch, before, after):
    async def roll(fleet):
        for number in range(10):
            await asyncio.sleep(0.3)
            fleet.promote(number, after)

    outcomes, _ = hold(monkeypatch, [before] * 10, change=roll, callers=2, calls=12)
    assert_answered(outcomes)
    assert {outcome.version for outcome in outcomes} == {before, after}


def iterate(monkeypatch, versions, change, *, texts):
    """The parts of an iterator over texts, while `change` goes on, and the fleet."""
    follow_the_loop(monkeypatch)
    random.seed(0)

    async def run():
        fleet = Fleet(versions)
        async with AsyncClient(transport=fleet, texts_per_request=1, coalesce=False, concurrency=4) as client:
            changing = asyncio.create_task(change(fleet))
            parts = [part async for part in client.embed_iter(["a" * size for size in range(texts)], model="fake")]
            await changing
        return parts, fleet

    return run_virtual(run())


@pytest.mark.parametrize(("before", "after"), [("9", "10"), ("10", "9")])
def test_an_iterator_stays_with_the_version_of_its_first_rows_while_half_have_it(monkeypatch, before, after):
    async def roll(fleet):
        for number in range(5):
            await asyncio.sleep(0.3)
            fleet.promote(number, after)

    parts, fleet = iterate(monkeypatch, [before] * 10, roll, texts=400)
    assert [int(length) for part in parts for length in part.vectors[:, 0]] == list(range(400))
    assert {part.version for part in parts} == {before}
    assert fleet.refusals > 0
