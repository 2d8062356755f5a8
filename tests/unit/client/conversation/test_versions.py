"""A pipeline whose version changes between calls, and within one."""

import asyncio
import inspect
import itertools

import pytest
from unit.client.both_clients import QUICK, lengths

from encserve import AsyncClient, ContractError, InvalidInput, ModelNotFound, Retry
from encserve._conversation import information
from encserve._pipeline import SERVED_VERSION_KEY
from encserve.testing import AsyncFakeTransport, fake_pipeline


def test_a_version_that_changes_between_calls_is_noticed(connect, model):
    client = connect(model)
    assert client.embed(["a"]).certificate == "0" * 64
    changed = fake_pipeline(version="2", certificate="f" * 64, relaxed=("neighbours",), dimensions=3)
    client.client._transport._served["fake"] = changed
    result = client.embed(["a"])
    assert (result.version, result.certificate, result.relaxed) == ("2", "f" * 64, ("neighbours",))


class Promotions:
    """Answers, and puts the next version into the place of the one before at every third request."""

    def __init__(self, model, times):
        self.model = model
        self.client = None
        self.left = times
        self.asked = []

    def __call__(self, request):
        self.asked.append(request.model_version)
        if self.left and len(self.asked) % 3 == 0:
            self.left -= 1
            served = self.client._transport._served
            served["fake"] = fake_pipeline(version=str(int(served["fake"].version) + 1))
        return self.model(request)


def test_a_call_that_meets_two_versions_is_repeated_whole_on_the_newer(connect, model):
    promotions = Promotions(model, times=1)
    client = connect(promotions, texts_per_request=2, concurrency=1)
    promotions.client = client.client
    result = client.embed(["a" * size for size in range(10)])
    assert lengths(result) == list(range(10))
    assert result.version == "2"
    assert promotions.asked == [""] * 3 + ["2"] * 5


async def test_what_is_repeated_on_the_newer_version_is_not_waited_for_on_the_older(model):
    asked, begun = [], asyncio.Event()

    async def answer(request):
        (text,) = request.inputs["text"]
        asked.append(("begun", text, request.model_version))
        if text == b"held" and not request.model_version:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                asked.append(("ended", text, ""))
        if text == b"b":
            await begun.wait()
            transport._served["fake"] = fake_pipeline(version="2")
        return model(request)

    transport = AsyncFakeTransport(answer)
    async with AsyncClient(transport=transport, texts_per_request=1, concurrency=3, coalesce=False) as client:
        result = await client.embed(["a", "b", "held"], model="fake")
    assert (len(result), result.version) == (3, "2")
    assert asked.index(("ended", b"held", "")) < asked.index(("begun", b"a", "2"))


def test_a_call_that_meets_two_versions_again_is_repeated_again(connect, model):
    promotions = Promotions(model, times=4)
    client = connect(promotions, texts_per_request=2, concurrency=1, retry=QUICK)
    promotions.client = client.client
    result = client.embed(["a" * size for size in range(20)])
    assert lengths(result) == list(range(20))
    assert result.version == "5"


def test_a_call_that_meets_two_versions_again_and_again_is_an_error(connect, model):
    promotions = Promotions(model, times=100)
    client = connect(promotions, texts_per_request=2, concurrency=1, retry=QUICK)
    promotions.client = client.client
    with pytest.raises((ContractError, ModelNotFound)):
        client.embed(["a"] * 20)
    assert promotions.left > 50


class Two:
    """Answers one request by one version and the next by another, as two replicas do, or by the one that is asked for;
    then, perhaps, as a rollback ends, by `left` alone."""

    def __init__(self, model, versions, *, left=None):
        self.asked = []
        self.served = None
        self._model = model
        self._versions = itertools.cycle(versions)
        self._left = left

    def __call__(self, request):
        self.asked.append(request.model_version)
        version = self._left if self._left and len(self.asked) > 2 else request.model_version or next(self._versions)
        if request.model_version not in ("", version):
            raise ModelNotFound(f"version {request.model_version} is not at ready state", model="fake")
        self.served["fake"] = fake_pipeline(version=version)
        return self._model(request)


def asked_of(connect, function, **settings):
    """The result of a call of four requests, where any replica knows what each version is."""
    client = connect(function, texts_per_request=1, concurrency=1, **settings)
    transport = client.client._transport
    function.served = transport._served
    transport._pipeline = lambda model, version: (
        fake_pipeline(version=version) if version else transport._served["fake"]
    )
    result = client.embed(["a" * size for size in range(4)])
    assert lengths(result) == list(range(4))
    return result


@pytest.mark.parametrize(("first", "second"), [("1", "2"), ("2", "1"), ("10", "9"), ("9", "10")])
def test_of_two_versions_the_newer_is_asked_whichever_answered_first(connect, model, first, second):
    two = Two(model, (first, second))
    newer = str(max(int(first), int(second)))
    assert asked_of(connect, two).version == newer
    assert two.asked == ["", "", *[newer] * 4]


def test_where_nobody_has_the_newer_any_more_the_older_is_asked(connect, model):
    """As where a rollback ends while a call is under way."""
    two = Two(model, ("2", "1"), left="1")
    assert asked_of(connect, two, retry=QUICK).version == "1"
    assert two.asked[-4:] == ["1"] * 4
    assert 1 <= two.asked.count("2") <= 6


def test_where_nobody_has_either_any_more_any_is_asked(connect, model):
    two = Two(model, ("2", "1"), left="3")
    assert asked_of(connect, two, retry=QUICK).version == "3"
    assert two.asked[-4:] == [""] * 4


def nameless(described):
    """What the fake transport says of a pipeline, without the version, as where another replica says it."""

    async def later():
        return nameless(await described)

    if inspect.isawaitable(described):
        return later()
    return {name: value for name, value in described.items() if name != SERVED_VERSION_KEY}


def test_a_version_that_is_gone_since_it_answered_is_not_asked_what_it_was(connect, model):
    """A client that did not know it yet asks again, of the version that is there now; even one that retries nothing."""
    client = connect(model, retry=Retry(attempts=1))
    transport = client.client._transport
    describe = transport.pipeline_config

    def pipeline_config(name, *, version="", timeout_s):
        if version == "1":
            transport._served["fake"] = fake_pipeline(version="2", certificate="f" * 64)
        return nameless(describe(name, version=version, timeout_s=timeout_s))

    transport.pipeline_config = pipeline_config
    result = client.embed(["a"])
    assert (result.version, result.certificate) == ("2", "f" * 64)
    assert len(model.requests) == 2


def test_what_a_version_is_another_replica_may_know(connect, model):
    """The one that answered may not be the one that is asked next."""
    client = connect(model, retry=QUICK)
    transport = client.client._transport
    describe, asked = transport.pipeline_config, []

    def pipeline_config(name, *, version="", timeout_s):
        asked.append(version)
        return nameless(describe(name, version="none" if asked.count("1") == 1 else version, timeout_s=timeout_s))

    transport.pipeline_config = pipeline_config
    assert client.embed(["a"]).version == "1"
    assert (asked, len(model.requests)) == (["", "1", "1"], 1)


def test_a_version_that_answers_and_is_never_there_is_an_error(connect, model):
    client = connect(model, retry=Retry(attempts=1))
    transport = client.client._transport
    describe = transport.pipeline_config

    def pipeline_config(name, *, version="", timeout_s):
        return nameless(describe(name, version=version and "none", timeout_s=timeout_s))

    transport.pipeline_config = pipeline_config
    with pytest.raises(ModelNotFound):
        client.embed(["a"])
    assert len(model.requests) == 2


def test_a_request_that_is_sent_in_pieces_is_answered_by_one_version(connect, model, monkeypatch):
    """It is refused by a version with smaller limits, and the next one comes between its pieces."""
    monkeypatch.setattr(information, "FRESH_S", 0.0)
    asked = []

    def answer(request):
        asked.append((request.model_version, len(request.inputs["text"])))
        served = client.client._transport._served
        if len(asked) == 1:
            served["fake"] = fake_pipeline(version="2", max_texts_per_request=4)
            raise InvalidInput("a request may have 4 texts", model="fake", status="INVALID_ARGUMENT")
        if len(asked) == 3:
            served["fake"] = fake_pipeline(version="3", max_texts_per_request=4)
        return model(request)

    client = connect(answer)
    result = client.embed(["a" * size for size in range(10)])
    assert lengths(result) == list(range(10))
    assert result.version == "3"
    assert [version for version, _ in asked] == [""] * 3 + ["3"] * 3


def test_parts_that_were_handed_over_cannot_be_repeated(connect, model):
    promotions = Promotions(model, times=1)
    client = connect(promotions, texts_per_request=2, concurrency=1)
    promotions.client = client.client
    parts = []
    with pytest.raises(ContractError, match="changed from version 1 to 2 during the call") as changed:
        client.embed_iter(["a"] * 10, parts)
    assert {part.version for part in parts} == {"1"}
    assert (changed.value.rows_done, changed.value.version) == (sum(map(len, parts)), "2")
    assert 0 < changed.value.rows_done < 10
