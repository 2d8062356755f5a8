"""`Client` and `AsyncClient` without a server: each test runs on both."""

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
    ModelNotFound,
    TransportError,
    Unavailable,
)
from encserve.testing import AsyncFakeTransport, FakeTransport, fake_pipeline

from .both_clients import QUICK, assert_ended, lengths, threads_of_clients
from .conftest import answer


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


def test_every_request_has_an_id_of_its_own(connect, model):
    refusals = iter([True, True])

    def busy(request):
        if next(refusals, False):
            model.requests.append(request)
            raise Unavailable("restarting")
        return model(request)

    client = connect(busy, texts_per_request=2, retry=QUICK)
    client.embed(["a"] * 5)
    client.embed(["a"])
    ids = [request.request_id for request in model.requests]
    assert len(set(ids)) == len(ids) == 6


def test_embed_iter(connect, model):
    parts = []
    connect(model, texts_per_request=3).embed_iter(("a" * i for i in range(8)), parts)
    assert [part.start for part in parts] == [0, 3, 6]
    assert [length for part in parts for length in lengths(part)] == list(range(8))


def test_models(connect, model):
    pipelines = [fake_pipeline(name="b", version="3"), fake_pipeline(name="a", prompt_names=("query",))]
    assert connect(model, pipelines=pipelines).models() == pipelines


def test_models_leaves_out_other_models(connect, model, monkeypatch):
    client = connect(model)
    monkeypatch.setattr("encserve.PipelineInfo.to_parameters", lambda pipeline: {"other": "parameter"})
    assert client.models() == []
    with pytest.raises(ContractError, match="not an encserve pipeline"):
        client.embed(["a"])


def test_models_leaves_out_what_is_unloaded_meanwhile(connect, model):
    client = connect(model, pipelines=[fake_pipeline(), fake_pipeline(name="going")])
    listed = client.client._transport._models()
    del client.client._transport._served["going"]
    client.client._transport._models = lambda: listed
    assert client.models() == [fake_pipeline()]


def test_pipeline_needs_no_list_and_asks_once(connect, model):
    client = connect(model, pipelines=[fake_pipeline(labels=("a", "b"))])
    asked = []
    config = client.client._transport.pipeline_config
    client.client._transport.pipeline_config = lambda name, **about: asked.append(name) or config(name, **about)
    assert client.pipeline("fake").labels == ("a", "b")
    assert client.pipeline("fake").max_length == 256
    assert asked == ["fake"]
    with pytest.raises(ModelNotFound):
        client.pipeline("other")


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

    before = threads_of_clients()
    with Client(transport=FakeTransport(model), texts_per_request=8, concurrency=4) as client:
        parts = client.embed_iter(endless(), model="fake")
        assert len(next(parts)) == 8
        parts.close()
    assert read <= 8 * 6
    assert_ended(threads_of_clients() - before)


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
