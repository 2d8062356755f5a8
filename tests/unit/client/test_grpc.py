"""The real transports against a gRPC server in this process that plays Triton."""

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from encserve import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    Retry,
    TransportError,
    Unavailable,
)
from encserve._wire import request_from_proto, response_to_proto
from encserve.testing import fake_pipeline

from .conftest import answer

QUICK = Retry(attempts=3, initial_s=0.001, maximum_s=0.001)


class Triton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves one pipeline and one other model. `refusals` are the statuses of the next answers."""

    def __init__(self):
        self.refusals = []
        self.requests = []
        self.delay_s = 0.0
        self.release = threading.Event()

    def ModelInfer(self, proto, context):
        request = request_from_proto(proto)
        self.requests.append(request)
        if self.delay_s:
            self.release.wait(self.delay_s)
        if self.refusals:
            context.abort(self.refusals.pop(0), "the server's own words")
        tensors = answer([len(text) for text in request.inputs["text"]])
        return response_to_proto(tensors, model=proto.model_name, version="1", request_id=proto.id)

    def ModelConfig(self, proto, context):
        if proto.name not in ("fake", "fake_head"):
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {proto.name}")
        response = service_pb2.ModelConfigResponse()
        if proto.name == "fake":
            for name, value in fake_pipeline().to_parameters().items():
                response.config.parameters[name].string_value = value
        return response

    def RepositoryIndex(self, proto, context):
        assert proto.ready
        models = [
            service_pb2.RepositoryIndexResponse.ModelIndex(name=name, version="1", state="READY")
            for name in ("fake", "fake_head")
        ]
        return service_pb2.RepositoryIndexResponse(models=models)


@pytest.fixture
def triton():
    return Triton()


@pytest.fixture
def url(triton):
    server = grpc.server(ThreadPoolExecutor(8))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    triton.release.set()
    server.stop(None).wait()


@pytest.fixture
def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]  # bound, but nobody listens


def embed(url, texts=("a", "bb"), **settings):
    with Client(url, **settings) as client:
        return client.embed(texts, model="fake")


def embed_async(url, texts=("a", "bb"), **settings):
    async def call():
        async with AsyncClient(url, **settings) as client:
            return await client.embed(texts, model="fake")

    return asyncio.run(call())


both = pytest.mark.parametrize("embed", [embed, embed_async])


@both
def test_embed(triton, url, embed):
    result = embed(url, ["a" * i for i in range(200)])
    assert result.vectors[:, 0].tolist() == list(range(200))
    assert (result.version, result.certificate) == ("1", "0" * 64)
    assert len(triton.requests) == 4


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
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.CANCELLED, TransportError),
        (grpc.StatusCode.INTERNAL, InferenceFailed),
        (grpc.StatusCode.UNKNOWN, InferenceFailed),
        (grpc.StatusCode.UNIMPLEMENTED, InferenceFailed),
    ],
)
def test_statuses(triton, url, embed, status, error):
    triton.refusals = [status] * 3
    with pytest.raises(error, match="the server's own words") as caught:
        embed(url, retry=QUICK)
    assert type(caught.value) is error
    assert isinstance(caught.value.__cause__, grpc.RpcError)
    assert (caught.value.model, caught.value.status, caught.value.timeout_s) == ("fake", status.name, 30.0)
    assert caught.value.request_id == triton.requests[0].request_id != ""
    assert len(triton.requests) == (3 if error is Unavailable else 1)


@both
def test_retries(triton, url, embed):
    triton.refusals = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert len(embed(url, retry=QUICK)) == 2
    assert len({request.request_id for request in triton.requests}) == 1


@both
def test_deadline(triton, url, embed):
    triton.delay_s = 5.0
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=rf"{url} gave no answer in time: .*timeout 0.2 s"):
        embed(url, timeout_s=0.2)
    assert time.monotonic() - began < 2.0


@both
def test_nobody_listens(free_port, embed):
    began = time.monotonic()
    with pytest.raises(Unavailable, match=rf"127.0.0.1:{free_port} is down or overloaded: .*`encserve serve`"):
        embed(f"127.0.0.1:{free_port}")
    assert time.monotonic() - began < 5.0


def test_unknown_model(url):
    with Client(url) as client, pytest.raises(ModelNotFound, match="no model nowhere"):
        client.embed(["a"], model="nowhere")


def test_models(url):
    with Client(url) as client:
        assert client.models() == [fake_pipeline()]


async def test_models_async(url):
    async with AsyncClient(url) as client:
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


def test_closing_ends_what_is_in_flight(triton, url):
    triton.delay_s = 5.0
    client = Client(url)
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(client.embed, ["a"], model="fake")
        while not triton.requests:
            time.sleep(0.001)
        client.close()
        with pytest.raises(TransportError):
            call.result(timeout=2.0)


async def test_closing_ends_what_is_in_flight_async(triton, url):
    triton.delay_s = 5.0
    client = AsyncClient(url)
    call = asyncio.create_task(client.embed(["a"], model="fake"))
    while not triton.requests:
        await asyncio.sleep(0.001)
    await client.close()
    with pytest.raises(TransportError, match="closed"):
        await asyncio.wait_for(call, 2.0)
    with pytest.raises(TransportError, match="closed"):
        await client.embed(["a"], model="fake")


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
