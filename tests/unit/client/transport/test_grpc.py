"""The real transports against a gRPC server in this process that plays Triton."""

import asyncio
import threading
import time

import grpc
import pytest
from unit.client.test_trace import span, traceparent

from encserve import (
    AccessDenied,
    AsyncClient,
    Client,
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    Overloaded,
    RateLimited,
    Retry,
    TransportError,
    Unavailable,
)
from encserve.testing import fake_pipeline

from .playing_triton import both

QUICK = Retry(attempts=3, initial_s=0.001, maximum_s=0.001)


@both
def test_embed(triton, url, embed):
    result = embed(url, ["a" * i for i in range(200)])
    assert result.vectors[:, 0].tolist() == list(range(200))
    assert (result.version, result.certificate) == ("1", "0" * 64)
    assert len(triton.requests) == 4
    assert triton.described == ["fake"]  # whose configuration names its version


@both
def test_the_trace_of_the_caller_travels_with_each_request(triton, url, embed):
    with span(1):
        embed(url, texts_per_request=1)
    embed(url)
    assert [metadata.get("traceparent") for metadata in triton.metadata] == [traceparent(1)[1]] * 2 + [None]


@both
def test_large_messages(url, embed):
    texts = ["a" * 60_000] * 200  # 12 MB, where gRPC's own limit is 4 MB; a request of 64 texts has 3.8 MB
    assert embed(url, texts, texts_per_request=200).vectors.shape == (200, 3)


@both
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInput),
        (grpc.StatusCode.NOT_FOUND, ModelNotFound),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.UNAUTHENTICATED, AccessDenied),
        (grpc.StatusCode.PERMISSION_DENIED, AccessDenied),
        (grpc.StatusCode.INTERNAL, InferenceFailed),
        (grpc.StatusCode.UNKNOWN, InferenceFailed),
        (grpc.StatusCode.UNIMPLEMENTED, InferenceFailed),
    ],
)
def test_statuses(triton, url, embed, status, error):
    triton.refusals = [status]
    with pytest.raises(error, match="the server's own words") as caught:
        embed(url, retry=QUICK)
    assert type(caught.value) is error
    assert isinstance(caught.value.__cause__, grpc.RpcError)
    assert (caught.value.model, caught.value.status, caught.value.timeout_s) == ("fake", status.name, 30.0)
    assert caught.value.request_id == triton.requests[0].request_id != ""
    assert len(triton.requests) == 1


def test_a_model_that_a_closing_server_has_unloaded_is_unavailable(triton, url):
    """So that another server is asked, or the next one: it is not that nobody knows the model."""
    triton.refusals = [grpc.StatusCode.NOT_FOUND] * 3
    triton.words = "Request for unknown model: 'minilm' has no available versions"
    with Client(url, retry=QUICK) as client, pytest.raises(Unavailable, match="no available versions"):
        client.embed(["a"], model="fake")


@both
def test_a_version_that_is_not_there_now_is_not_found(triton, url, embed):
    """The status says that the server is down or has no room; another attempt would find the same."""
    triton.refusals = [grpc.StatusCode.UNAVAILABLE]
    triton.words = "Request for unknown model: 'minilm' version 2 is not at ready state"
    with pytest.raises(ModelNotFound, match="version 2 is not at ready state"):
        embed(url, retry=QUICK)
    assert len(triton.requests) == 1


@both
def test_a_server_that_ends_requests_because_it_closes_is_asked_again(triton, url, embed):
    triton.refusals = [grpc.StatusCode.CANCELLED] * 2
    assert len(embed(url, retry=QUICK)) == 2
    triton.refusals = [grpc.StatusCode.CANCELLED] * 3
    with pytest.raises(Unavailable, match="ended the request: the server's own words"):
        embed(url, retry=QUICK)
    assert len(triton.requests) == 6


@both
@pytest.mark.parametrize("status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_server_that_is_up_and_has_no_room(triton, url, embed, status):
    """It is asked beyond the attempts for one that is down; QUICK has three."""
    triton.refusals = [status] * 9
    assert len(embed(url, retry=QUICK)) == 2
    assert len({request.request_id for request in triton.requests}) == 10
    triton.refusals = [status]
    with pytest.raises(Overloaded, match="the server's own words") as caught:
        embed(url, retry=Retry(attempts=1))
    assert (caught.value.model, caught.value.status, caught.value.timeout_s) == ("fake", status.name, 30.0)
    assert isinstance(caught.value.__cause__, grpc.RpcError)


@both
def test_deadline(triton, url, embed):
    triton.delay_s = 60.0
    with pytest.raises(DeadlineExceeded, match=rf"{url} gave no answer in time .*timeout 0.2 s"):
        embed(url, timeout_s=0.2)
    assert triton.cancelled in ([], [True])  # it is not answered yet, which takes a minute


@both
def test_the_longest_timeout(url, embed):
    assert len(embed(url, timeout_s=1e9)) == 2


@both
def test_a_late_call_is_left_and_not_cancelled(triton, url, embed, monkeypatch):
    monkeypatch.setattr("encserve._transport.leaving.END_S", 60.0)
    monkeypatch.setattr("encserve._transport.leaving.ENDED_S", 60.0)
    triton.delay_s = 60.0
    threading.Timer(1.0, triton.release.set).start()  # while the client closes
    with pytest.raises(DeadlineExceeded):
        embed(url, timeout_s=0.2)
    assert triton.cancelled == [False]


@both
def test_a_call_that_never_ends_is_cancelled(triton, url, embed):
    triton.delay_s = 60.0
    with pytest.raises(DeadlineExceeded):
        embed(url, timeout_s=1.0)  # enough to arrive on a busy machine
    while not triton.cancelled:
        time.sleep(0.001)
    assert triton.cancelled == [True]


@both
def test_nobody_listens(free_port, embed, monkeypatch):
    """It is told long before the deadline; how long is tested with a clock of its own, in test_retry.py."""
    monkeypatch.setattr("encserve._conversation.retry.FIRST_CONTACT_S", 0.3)
    with pytest.raises(Unavailable, match=rf"127.0.0.1:{free_port} is down: .*`encserve serve`"):
        embed(f"127.0.0.1:{free_port}", timeout_s=600)


def test_unknown_model(url):
    with Client(url) as client, pytest.raises(ModelNotFound, match="no model nowhere"):
        client.embed(["a"], model="nowhere")


def test_models(url):
    with Client(url) as client:
        assert client.models() == [fake_pipeline()]


async def test_models_async(url):
    async with AsyncClient(url) as client:
        assert await client.models() == [fake_pipeline()]


def test_models_of_a_restricted_server(triton, url):
    triton.admin_secret = "right"
    for wrong in (None, "wrong"):
        with (
            Client(url, admin_secret=wrong) as client,
            pytest.raises(AccessDenied, match=r"operators only.*admin_secret="),
        ):
            client.models()
    with Client(url, admin_secret="right") as client:
        assert client.models() == [fake_pipeline()]


async def test_models_of_a_restricted_server_async(triton, url):
    triton.admin_secret = "right"
    async with AsyncClient(url) as client:
        with pytest.raises(AccessDenied, match="operators only"):
            await client.models()
    async with AsyncClient(url, admin_secret="right") as client:
        assert await client.models() == [fake_pipeline()]


@both
@pytest.mark.parametrize("bad", ["http://localhost:8000", "localhost", "localhost:", "localhost:0", ":8001", ""])
def test_what_is_no_address(embed, bad):
    with pytest.raises(InvalidInput, match='expected "host:port"'):
        embed(bad)


@pytest.mark.parametrize("good", ["localhost:8001", "10.0.0.1:1", "[::1]:8001", "triton.example.org:65535"])
def test_addresses(good):
    Client(good).close()


def test_closed(url):
    client = Client(url)
    client.close()
    client.close()
    with pytest.raises(TransportError, match=f"client of {url} is closed"):
        client.embed(["a"], model="fake")


def test_an_async_client_belongs_to_one_loop(url):
    client = AsyncClient(url)

    async def first():
        await client.embed(["a"], model="fake")
        return client

    loop = asyncio.new_event_loop()
    loop.run_until_complete(first())
    with pytest.raises(TransportError, match="another event loop"):
        asyncio.run(first())
    loop.run_until_complete(client.close())
    loop.close()


@both
def test_retry_after(triton, url, embed):
    """The wait itself is tested with a clock of its own, in test_retry.py."""
    triton.retry_after = "0"
    triton.refusals = [grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert len(embed(url, retry=QUICK)) == 2
    triton.retry_after = "3600"
    triton.refusals = [grpc.StatusCode.RESOURCE_EXHAUSTED] * 3
    with pytest.raises(RateLimited, match="the server's own words") as refused:
        embed(url, retry=QUICK)
    assert (refused.value.retry_after_s, len(triton.refusals)) == (3600.0, 2)  # not asked again within the deadline
