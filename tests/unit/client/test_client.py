"""`Client` and `AsyncClient` without a server: each test runs on both, driven through one blocking interface."""

import asyncio
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from encserve import (
    AsyncClient,
    Client,
    ContractError,
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    Retry,
    TransportError,
    Unavailable,
)
from encserve.testing import AsyncFakeTransport, FakeTransport, fake_pipeline

from .conftest import answer

SERVED = (fake_pipeline(),)
QUICK = Retry(initial_s=0.001, maximum_s=0.001)


class Sync:
    """Calls of a `Client`."""

    def __init__(self, function, *, pipelines=SERVED, **settings):
        self.client = Client(transport=FakeTransport(function, pipelines=pipelines), **settings)

    def embed(self, texts, **options):
        return self.client.embed(texts, **{"model": "fake"} | options)

    def embed_iter(self, texts, into, **options):
        for part in self.client.embed_iter(texts, **{"model": "fake"} | options):
            into.append(part)

    def models(self):
        return self.client.models()

    def close(self):
        self.client.close()


class Async:
    """The same calls of an `AsyncClient`, each in an event loop of its own."""

    def __init__(self, function, *, pipelines=SERVED, **settings):
        self.client = AsyncClient(transport=AsyncFakeTransport(function, pipelines=pipelines), **settings)

    def embed(self, texts, **options):
        return asyncio.run(self.client.embed(texts, **{"model": "fake"} | options))

    def embed_iter(self, texts, into, **options):
        async def collect():
            async for part in self.client.embed_iter(texts, **{"model": "fake"} | options):
                into.append(part)

        asyncio.run(collect())

    def models(self):
        return asyncio.run(self.client.models())

    def close(self):
        asyncio.run(self.client.close())


@pytest.fixture(params=[Sync, Async])
def connect(request):
    return request.param


def lengths(embeddings):
    assert embeddings.vectors.dtype == np.float32
    assert embeddings.token_counts.dtype == embeddings.dropped_counts.dtype == np.int32
    return embeddings.vectors[:, 0].tolist()


def test_embed(connect, model):
    texts = ["a" * (i % 300) for i in range(1000)]
    result = connect(model).embed(texts)
    assert lengths(result) == [len(text) for text in texts]
    assert result.token_counts.tolist() == [min(len(text), 256) for text in texts]
    assert result.dropped_counts.tolist() == [max(len(text) - 256, 0) for text in texts]
    assert (result.model, result.version, result.certificate, result.start) == ("fake", "1", "0" * 64, 0)
    assert max(len(request.inputs["text"]) for request in model.requests) == 64


def test_order_with_random_delays(connect, model):
    def slow(request):
        time.sleep(random.uniform(0, 0.003))
        return model(request)

    texts = ["a" * i for i in range(100)]
    assert lengths(connect(slow, texts_per_request=1, concurrency=8).embed(texts)) == list(range(100))


def test_nothing_to_embed(connect, model):
    result = connect(model).embed([])
    assert result.vectors.shape == (0, 3)
    assert result.token_counts.shape == result.dropped_counts.shape == (0,)
    assert (result.model, result.version, result.certificate) == ("fake", "", "0" * 64)
    assert connect(model).embed([], dimensions=2).vectors.shape == (0, 2)
    assert not model.requests


def test_one_empty_text(connect, model):
    assert lengths(connect(model).embed([""])) == [0]


@pytest.mark.parametrize("collection", [tuple, np.array, iter])
def test_collections(connect, model, collection):
    assert lengths(connect(model).embed(collection(["a", "bb"]))) == [1, 2]


def test_options_travel_as_parameters(connect, model):
    client = connect(model)
    client.embed(["a"])
    result = client.embed(["a"], truncate="start", prompt_name="query", dimensions=2, normalize=False)
    assert result.vectors.shape == (1, 2)
    assert [request.parameters for request in model.requests] == [
        {},
        {"truncate": "start", "prompt_name": "query", "dimensions": 2, "normalize": False},
    ]


def test_texts_with_a_prompt_are_counted_as_long_as_the_model_allows(connect, model):
    defaults = {"prompt_name": "passage"}
    client = connect(model, pipelines=[fake_pipeline(max_tokens_per_request=1024, option_defaults=defaults)])
    client.embed(["a"] * 20)
    assert len(model.requests) == 5  # of 4 texts, as max_length is 256
    client.embed(["a"] * 20, prompt_name="")
    assert len(model.requests) == 6


def test_request_ids_tell_call_and_row(connect, model):
    connect(model, texts_per_request=2).embed(["a"] * 5)
    calls, rows = zip(*(request.request_id.split("-") for request in model.requests), strict=True)
    assert len(set(calls)) == 1
    assert sorted(rows) == ["0", "2", "4"]


def test_embed_iter(connect, model):
    parts = []
    connect(model, texts_per_request=3).embed_iter(("a" * i for i in range(8)), parts)
    assert [part.start for part in parts] == [0, 3, 6]
    assert [length for part in parts for length in lengths(part)] == list(range(8))


@pytest.mark.parametrize("texts", ["text", b"text", 3, ["fine", None], ["fine", "\udc00"], ["a" * 70_000]])
def test_bad_texts_are_refused_before_anything_is_sent(connect, model, texts):
    client = connect(model, texts_per_request=1)
    with pytest.raises(InvalidInput) as caught:
        client.embed(texts)
    assert caught.value.rows_done is None
    assert not model.requests


@pytest.mark.parametrize(
    "options",
    [
        {"model": ""},
        {"model": None},
        {"truncate": "middle"},
        {"timeout_s": 0},
        {"timeout_s": 1e10},
        {"timeout_s": float("nan")},
    ],
)
def test_bad_arguments(connect, model, options):
    with pytest.raises(InvalidInput):
        connect(model).embed(["a"], **options)
    assert not model.requests


@pytest.mark.parametrize("settings", [{"timeout_s": -1}, {"concurrency": 0}, {"texts_per_request": 0}])
def test_bad_settings(connect, model, settings):
    with pytest.raises(InvalidInput):
        connect(model, **settings)


def test_a_bad_text_in_a_generator_says_how_far_it_came(connect, model):
    parts = []
    with pytest.raises(InvalidInput, match=r"text 20 is int, expected str; rows 0 to \d+ are done") as caught:
        connect(model, texts_per_request=2).embed_iter(iter(["a"] * 20 + [7]), parts)
    assert caught.value.rows_done == sum(map(len, parts)) > 0


def test_a_failure_says_how_far_the_call_came(connect, model):
    def fail_at_10(request):
        if request.request_id.endswith("-10"):
            raise InferenceFailed("NaN", model="fake")
        return model(request)

    parts = []
    client = connect(fail_at_10, texts_per_request=2)
    with pytest.raises(InferenceFailed, match="rows 0 to 9 of 100 are done") as caught:
        client.embed_iter(["a"] * 100, parts)
    assert caught.value.rows_done == sum(map(len, parts)) == 10
    assert caught.value.rows_total == 100
    assert len(model.requests) < 12
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("encserve")]


def test_retries_while_unavailable(connect, model):
    refusals = iter([True, True])

    def busy(request):
        if next(refusals, False):
            raise Unavailable("queue is full")
        return model(request)

    assert lengths(connect(busy, retry=QUICK).embed(["a"])) == [1]
    assert next(refusals, None) is None


def test_gives_up(connect):
    requests = []

    def busy(request):
        requests.append(request.request_id)
        raise Unavailable("queue is full")

    with pytest.raises(Unavailable, match=r"queue is full \(timeout 7 s\)"):
        connect(busy, retry=QUICK, timeout_s=7).embed(["a"])
    assert len(requests) == 5
    assert len(set(requests)) == 1


def test_a_late_answer_is_not_repeated(connect):
    requests = []

    def late(request):
        requests.append(request)
        raise DeadlineExceeded("late")

    with pytest.raises(DeadlineExceeded, match=r"timeout 0\.5 s"):
        connect(late).embed(["a"], timeout_s=0.5)
    assert len(requests) == 1


def test_unknown_model(connect, model):
    with pytest.raises(ModelNotFound, match="model nowhere"):
        connect(model).embed(["a"], model="nowhere")


def test_a_pipeline_for_another_task(connect, model):
    client = connect(model, pipelines=[fake_pipeline(task="text-classification")])
    with pytest.raises(InvalidInput, match="'fake' is for text-classification, embed needs feature-extraction"):
        client.embed(["a"])


def test_wrong_row_count(connect):
    with pytest.raises(ContractError, match="'embedding' has shape"):
        connect(lambda request: answer([1, 2, 3])).embed(["a", "b"])


def test_a_version_that_changes_between_calls_is_noticed(connect, model):
    client = connect(model)
    assert client.embed(["a"]).certificate == "0" * 64
    client.client._transport._served["fake"] = fake_pipeline(version="2", certificate="f" * 64, dimensions=3)
    result = client.embed(["a"])
    assert (result.version, result.certificate) == ("2", "f" * 64)


def test_a_version_that_changes_within_a_call_is_an_error(connect, model):
    def swap(request):
        if request.request_id.endswith("-4"):
            client.client._transport._served["fake"] = fake_pipeline(version="2")
        return model(request)

    client = connect(swap, texts_per_request=2, concurrency=1)
    with pytest.raises(ContractError, match="changed from version 1 to 2 during the call"):
        client.embed(["a"] * 10)


def test_models(connect, model):
    pipelines = [fake_pipeline(name="b", version="3"), fake_pipeline(name="a", prompt_names=("query",))]
    assert connect(model, pipelines=pipelines).models() == pipelines


def test_models_leaves_out_other_models(connect, model, monkeypatch):
    client = connect(model)
    monkeypatch.setattr("encserve.PipelineInfo.to_parameters", lambda pipeline: {"other": "parameter"})
    assert client.models() == []
    with pytest.raises(ContractError, match="not an encserve pipeline"):
        client.embed(["a"])


def test_closed(connect, model):
    client = connect(model)
    client.close()
    with pytest.raises(TransportError, match="closed"):
        client.embed(["a"])


def test_progress(connect, model, capsys):
    connect(model).embed(["a"] * 100, progress=True)
    assert capsys.readouterr().err.startswith("100 of 100 texts, ")


def test_100_000_texts(connect):
    most = running = 0
    lock = threading.Lock()

    def count(request):
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        tensors = answer([len(text) for text in request.inputs["text"]])
        with lock:
            running -= 1
        return tensors

    texts = ["a" * (i % 7) for i in range(100_000)]
    result = connect(count, concurrency=3).embed(texts)
    np.testing.assert_array_equal(result.vectors[:, 2], [len(text) for text in texts])
    assert 1 <= most <= 3


def test_an_endless_generator_is_read_no_further_than_needed(model):
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield "a"

    with Client(transport=FakeTransport(model), texts_per_request=8, concurrency=4) as client:
        parts = client.embed_iter(endless(), model="fake")
        assert len(next(parts)) == 8
        parts.close()
    assert read <= 8 * 6
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("encserve")]


async def test_cancelling_leaves_no_task():
    async def never(request):
        await asyncio.sleep(60)

    async with AsyncClient(transport=AsyncFakeTransport(never), texts_per_request=1) as client:
        call = asyncio.create_task(client.embed(["a"] * 10, model="fake"))
        await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert len(asyncio.all_tasks()) == 1


def test_threads_share_a_client(model):
    with Client(transport=FakeTransport(model), texts_per_request=3) as client, ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(client.embed, ["a" * n] * 20, model="fake") for n in range(50)]
        for n, call in enumerate(calls):
            assert lengths(call.result()) == [n] * 20
