"""What a client knows of pipelines, and when it asks again; what a call may take with all that is asked for it."""

import asyncio
import time
import types

import pytest

from encserve import AsyncClient, Client, DeadlineExceeded, InvalidInput, Retry, Unavailable
from encserve._conversation import information
from encserve._conversation.retry import Contact
from encserve.testing import AsyncFakeTransport, FakeTransport, fake_pipeline


@pytest.fixture(params=["threads", "tasks"])
def connect(request):
    """connect(function, ...): `embed` of either client, and the fake transport that it asks."""

    def open_client(function, *, pipeline=None, transport=None, **settings):
        cls = {"threads": FakeTransport, "tasks": AsyncFakeTransport}[request.param]
        fake = (transport or {}).get(request.param, cls)(function, pipelines=[pipeline or fake_pipeline()])
        if request.param == "threads":
            return Client(transport=fake, **settings).embed, fake
        client = AsyncClient(transport=fake, **settings)
        return lambda *args, **options: asyncio.run(client.embed(*args, **options)), fake

    return open_client


@pytest.fixture(autouse=True)
def nothing_is_fresh(monkeypatch):
    monkeypatch.setattr(information, "FRESH_S", 0.0)


def serve(fake, **changes):
    fake._served["fake"] = fake_pipeline(**changes)


def limited(fake, model):
    """A server that refuses requests of more texts than its pipeline takes now."""

    def answer(request):
        most = fake()._served["fake"].max_texts_per_request
        if len(request.inputs["text"]) > most:
            raise InvalidInput(f"a request may have {most} texts", model="fake", status="INVALID_ARGUMENT")
        return model(request)

    return answer


def test_smaller_limits_of_a_new_version_are_learned_from_its_refusal(connect, model):
    embed, fake = connect(limited(lambda: fake, model))
    assert len(embed(["a"] * 64, model="fake")) == 64
    serve(fake, version="2", max_texts_per_request=10)
    texts = ["a" * size for size in range(100)]
    for _ in range(2):
        result = embed(texts, model="fake")
        assert result.vectors[:, 0].tolist() == list(range(100))
        assert result.version == "2"


def test_larger_limits_are_learned_before_a_text_is_refused(connect, model):
    embed, fake = connect(model, pipeline=fake_pipeline(max_bytes_per_text=10))
    with pytest.raises(InvalidInput, match="text 0 has 20 bytes in UTF-8, the limit is 10"):
        embed(["a" * 20], model="fake")
    serve(fake, version="2", max_bytes_per_text=100)
    assert embed(["a" * 20], model="fake").version == "2"


def test_a_refusal_that_nothing_explains_stays_one(connect, model):
    asked = []

    def refuse(request):
        asked.append(request)
        raise InvalidInput("text 0 is refused", model="fake", status="INVALID_ARGUMENT")

    embed, _ = connect(refuse)
    with pytest.raises(InvalidInput, match="text 0 is refused"):
        embed(["a"], model="fake")
    assert len(asked) == 1


def test_a_rollback_is_noticed(connect, model):
    embed, fake = connect(limited(lambda: fake, model), pipeline=fake_pipeline(max_texts_per_request=8))
    embed(["a"] * 20, model="fake")
    serve(fake, version="2", max_texts_per_request=64)
    assert embed(["a"], model="fake").version == "2"
    embed(["a"] * 64, model="fake")
    serve(fake, version="1", max_texts_per_request=8)
    assert embed(["a"], model="fake").version == "1"
    before = len(model.requests)
    embed(["a"] * 20, model="fake")
    assert [len(request.inputs["text"]) for request in model.requests[before:]] == [8, 8, 4]


def test_one_deadline_holds_for_a_call_with_all_that_is_asked_for_it(connect, model):
    """The look-up, two requests of each of three kinds of delay: a second each would be six in all."""

    class Slow(FakeTransport):
        def pipeline_config(self, *about, timeout_s, **more):
            return self._late(timeout_s) or super().pipeline_config(*about, timeout_s=timeout_s, **more)

        def infer(self, request, *, timeout_s):
            return self._late(timeout_s) or super().infer(request, timeout_s=timeout_s)

        def _late(self, timeout_s):
            left.append(timeout_s)
            time.sleep(min(0.2, timeout_s))
            if timeout_s <= 0.2:
                raise DeadlineExceeded("late")

    class AsyncSlow(AsyncFakeTransport):
        async def pipeline_config(self, *about, timeout_s, **more):
            await self._late(timeout_s)
            return await super().pipeline_config(*about, timeout_s=timeout_s, **more)

        async def infer(self, request, *, timeout_s):
            await self._late(timeout_s)
            return await super().infer(request, timeout_s=timeout_s)

        async def _late(self, timeout_s):
            left.append(timeout_s)
            await asyncio.sleep(min(0.2, timeout_s))
            if timeout_s <= 0.2:
                raise DeadlineExceeded("late")

    left = []
    transport = {"threads": Slow, "tasks": AsyncSlow}
    embed, _ = connect(model, transport=transport, texts_per_request=1, concurrency=1)
    with pytest.raises(DeadlineExceeded, match=r"timeout 0\.7 s"):
        embed(["a"] * 6, model="fake", timeout_s=0.7)
    assert left == sorted(left, reverse=True)
    assert left[0] <= 0.7
    assert sum(each > 0.2 for each in left) <= 3


def test_a_call_in_bulk_has_the_clients_timeout_for_each_request_and_its_own_for_all(connect, model, monkeypatch):
    """Each of 32 requests takes ten seconds, by a clock that nothing else moves."""
    seen, now = [], [0.0]
    monkeypatch.setattr("encserve._conversation.deadline.time", types.SimpleNamespace(monotonic=lambda: now[0]))

    def take(timeout_s):
        seen.append(timeout_s)
        now[0] += 10.0

    class Seen(FakeTransport):
        def infer(self, request, *, timeout_s):
            take(timeout_s)
            return super().infer(request, timeout_s=timeout_s)

    class AsyncSeen(AsyncFakeTransport):
        async def infer(self, request, *, timeout_s):
            take(timeout_s)
            return await super().infer(request, timeout_s=timeout_s)

    embed, _ = connect(model, transport={"threads": Seen, "tasks": AsyncSeen}, concurrency=1, timeout_s=1000.0)
    embed(["a"] * 2_000, model="fake")
    assert len(seen) == 32
    assert min(seen) >= 980.0
    seen.clear()
    embed(["a"] * 2_000, model="fake", timeout_s=1000.0)
    assert min(seen) == 1000.0 - 10.0 * 31


def test_a_look_up_that_fails_fails_all_who_wait_for_it_once(connect, model):
    asked = []

    class Down(FakeTransport):
        def pipeline_config(self, *about, **more):
            asked.append(about)
            raise Unavailable("restarting")

    class AsyncDown(AsyncFakeTransport):
        async def pipeline_config(self, *about, **more):
            asked.append(about)
            raise Unavailable("restarting")

    quick = Retry(attempts=3, initial_s=0.0, maximum_s=0.0)
    embed, _ = connect(model, transport={"threads": Down, "tasks": AsyncDown}, retry=quick)
    with pytest.raises(Unavailable, match=r"restarting .*timeout 30 s"):
        embed(["a"], model="fake")
    assert len(asked) == 3


def test_a_model_is_forgotten_while_another_is_learned():
    """As by another thread, in the moment in which the versions are looked through."""

    class Name(str):
        __hash__ = str.__hash__

        def __eq__(self, other):
            known[other, str(len(known))] = fake_pipeline()
            return str(self) == str(other)

    learned = information.Information(Retry(), Contact())
    known = learned._known
    known["fake", "1"] = known["other", "1"] = fake_pipeline()
    learned.forget(Name("fake"))
    assert ("fake", "1") not in known
    assert ("other", "1") in known
