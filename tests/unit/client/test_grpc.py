"""The real transports against a gRPC server in this process that plays Triton."""

import asyncio
import itertools
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from certificates import Authority, openssl
from tritonclient.grpc import service_pb2, service_pb2_grpc

from encserve import (
    AccessDenied,
    AsyncClient,
    Client,
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    RateLimited,
    Retry,
    Tls,
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
        self.numbers = itertools.count()  # of requests, as they come
        self.given_up = []
        self.answers_what_is_given_up = True
        self.delay_s = 0.0  # of all but the first `prompt` requests
        self.prompt = 0
        self.admin_secret = ""
        self.api_key = ""
        self.retry_after = ""
        self.release = threading.Event()
        self.cancelled = []  # whether each delayed call ended so

    def _check_key(self, context):
        if self.api_key and ("authorization", f"Bearer {self.api_key}") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no key")

    def ModelInfer(self, proto, context):
        self._check_key(context)
        request = request_from_proto(proto)
        if "cancel" in request.parameters:
            self.given_up.append(request)
            if self.answers_what_is_given_up:
                self.release.set()
            context.abort(grpc.StatusCode.CANCELLED, "given up")
        number = next(self.numbers)
        self.requests.append(request)
        if self.delay_s and number >= self.prompt:
            until_s = time.monotonic() + self.delay_s
            while context.is_active() and time.monotonic() < until_s and not self.release.wait(0.001):
                pass
            self.cancelled.append(not context.is_active())
        if self.refusals:
            if self.retry_after:
                context.set_trailing_metadata((("retry-after", self.retry_after),))
            context.abort(self.refusals.pop(0), "the server's own words")
        tensors = answer([len(text) for text in request.inputs["text"]])
        return response_to_proto(tensors, model=proto.model_name, version="1", request_id=proto.id)

    def ModelConfig(self, proto, context):
        self._check_key(context)
        if proto.name not in ("fake", "fake_head"):
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {proto.name}")
        response = service_pb2.ModelConfigResponse()
        if proto.name == "fake":
            for name, value in fake_pipeline().to_parameters().items():
                response.config.parameters[name].string_value = value
        return response

    def RepositoryIndex(self, proto, context):
        assert proto.ready
        if self.admin_secret and ("triton-grpc-protocol-encserve-admin", self.admin_secret) not in (
            context.invocation_metadata()
        ):
            words = "This protocol is restricted, expecting header 'triton-grpc-protocol-encserve-admin'"
            context.abort(grpc.StatusCode.UNAVAILABLE, words)
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


@pytest.fixture
def encrypted_port(triton, authority):
    """The port of a server that encrypts, and knows its clients where `clients` are given."""
    servers = []

    def start(*, clients=None):
        own = authority.issue("server")
        credentials = grpc.ssl_server_credentials(
            [(own.key.read_bytes(), own.cert.read_bytes())],
            root_certificates=clients.cert.read_bytes() if clients else None,
            require_client_auth=clients is not None,
        )
        servers.append(grpc.server(ThreadPoolExecutor(8)))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, servers[-1])
        port = servers[-1].add_secure_port("127.0.0.1:0", credentials)
        servers[-1].start()
        return port

    yield start
    for server in servers:
        server.stop(None).wait()


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
        (grpc.StatusCode.UNAUTHENTICATED, AccessDenied),
        (grpc.StatusCode.PERMISSION_DENIED, AccessDenied),
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
    triton.delay_s = 60.0
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=rf"{url} gave no answer in time .*timeout 0.2 s"):
        embed(url, timeout_s=0.2)
    assert time.monotonic() - began < 30.0  # the answer would have taken a minute


@both
def test_the_longest_timeout(url, embed):
    assert len(embed(url, timeout_s=1e9)) == 2


@both
def test_a_late_call_is_left_and_not_cancelled(triton, url, embed, monkeypatch):
    monkeypatch.setattr("encserve._grpc.END_S", 60.0)
    monkeypatch.setattr("encserve._leaving.END_S", 60.0)
    triton.delay_s = 60.0
    threading.Timer(1.0, triton.release.set).start()  # while the client closes
    with pytest.raises(DeadlineExceeded):
        embed(url, timeout_s=0.2)
    assert triton.cancelled == [False]


@both
def test_a_call_that_never_ends_is_cancelled(triton, url, embed):
    triton.delay_s = 60.0
    with pytest.raises(DeadlineExceeded):
        embed(url, timeout_s=0.01)
    while not triton.cancelled:
        time.sleep(0.001)
    assert triton.cancelled == [True]


@both
def test_nobody_listens(free_port, embed):
    began = time.monotonic()
    with pytest.raises(Unavailable, match=rf"127.0.0.1:{free_port} is down or overloaded: .*`encserve serve`"):
        embed(f"127.0.0.1:{free_port}")
    assert time.monotonic() - began < 25.0  # of the 30 s that it had


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


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine may take more than the second that a client spends on giving up."""
    monkeypatch.setattr("encserve._grpc.GIVE_UP_S", 60.0)


def test_closing_ends_what_is_in_flight(triton, url):
    triton.delay_s, triton.answers_what_is_given_up = 60.0, False
    client = Client(url)
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(client.embed, ["a"], model="fake")
        while not triton.requests:
            time.sleep(0.001)
        client.close()
        with pytest.raises(TransportError):
            call.result(timeout=300.0)


async def test_closing_ends_what_is_in_flight_async(triton, url):
    triton.delay_s, triton.answers_what_is_given_up = 60.0, False
    client = AsyncClient(url)
    call = asyncio.create_task(client.embed(["a"], model="fake"))
    while not triton.requests:
        await asyncio.sleep(0.001)
    await client.close()
    with pytest.raises(TransportError, match="closed"):
        await asyncio.wait_for(call, 300.0)
    with pytest.raises(TransportError, match="closed"):
        await client.embed(["a"], model="fake")


def assert_all_given_up(triton):
    """Each request under its own id, with the inputs that its pipeline wants and none of their texts."""
    given_up = {request.parameters["cancel"]: request for request in triton.given_up}
    assert given_up.keys() == {request.request_id for request in triton.requests}
    assert all(request.inputs == {"text": [b""]} for request in given_up.values())
    assert all(request.model == "fake" for request in given_up.values())


async def test_a_cancelled_call_gives_up_its_place(triton, url):
    triton.delay_s = 60
    async with AsyncClient(url, texts_per_request=1) as client:
        calls = [asyncio.create_task(client.embed(texts, model="fake")) for texts in (["a"], ["b", "c"])]
        while len(triton.requests) < 3:
            await asyncio.sleep(0.001)
        for call in calls:
            call.cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in outcomes)
    assert_all_given_up(triton)


async def test_closing_gives_up_all_places(triton, url):
    triton.delay_s = 60
    client = AsyncClient(url)
    call = asyncio.create_task(client.embed(["a"], model="fake"))
    while not triton.requests:
        await asyncio.sleep(0.001)
    await client.close()
    with pytest.raises(TransportError):
        await call
    assert_all_given_up(triton)


def test_a_stopped_iterator_gives_up_its_places_and_does_not_wait(triton, url):
    with Client(url, texts_per_request=1, concurrency=3) as client:
        parts = client.embed_iter(["a"] * 100, model="fake")
        triton.delay_s, triton.prompt = 60, 3
        for _ in range(3):
            next(parts)
        while len(triton.requests) < 5:
            time.sleep(0.001)
        parts.close()
    del triton.requests[:3]
    assert_all_given_up(triton)


INTERRUPTED = """
import signal, sys
from encserve import Client, _grpc
_grpc.GIVE_UP_S = 60
signal.signal(signal.SIGINT, signal.default_int_handler)
with Client(sys.argv[1], texts_per_request=int(sys.argv[2])) as client:
    client.embed(["a", "b"], model="fake")
"""


@pytest.mark.parametrize("texts_per_request", [1, 2])
def test_ctrl_c_gives_up_the_places(triton, url, texts_per_request):
    triton.delay_s = 60
    program = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, url, str(texts_per_request)], stderr=subprocess.PIPE, text=True
    )
    while len(triton.requests) < 2 // texts_per_request:
        time.sleep(0.001)
    program.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in program.communicate(timeout=60)[1]
    assert_all_given_up(triton)


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
def test_tls(encrypted_port, authority, embed):
    port = encrypted_port()
    assert len(embed(f"localhost:{port}", tls=Tls(ca_file=authority.cert))) == 2
    for refused in (None, Tls()):  # plain; and the public authorities, which do not know ours
        with pytest.raises(Unavailable, match=f"localhost:{port}"):
            embed(f"localhost:{port}", tls=refused, retry=Retry(attempts=1))


@both
def test_the_name_in_the_certificate_counts(encrypted_port, authority, embed):
    port = encrypted_port()
    with pytest.raises(Unavailable, match=r"not match|verif|peer name|Hostname"):
        embed(f"127.0.0.1:{port}", tls=Tls(ca_file=authority.cert, server_name="example.org"), retry=Retry(attempts=1))
    assert len(embed(f"127.0.0.1:{port}", tls=Tls(ca_file=authority.cert, server_name="localhost"))) == 2


@both
def test_mutual_tls(encrypted_port, authority, tmp_path, embed):
    url = f"localhost:{encrypted_port(clients=authority)}"
    ours, theirs = authority.issue("client"), Authority(tmp_path, "stranger").issue("client")
    for refused in (Tls(ca_file=authority.cert), identified(authority, theirs)):
        with pytest.raises(Unavailable):
            embed(url, tls=refused, retry=Retry(attempts=1))
    assert len(embed(url, tls=identified(authority, ours))) == 2


def identified(authority, issued):
    return Tls(ca_file=authority.cert, cert_file=issued.cert, key_file=issued.key)


@both
def test_files_that_are_unfit(authority, tmp_path, embed):
    one, other, empty = authority.issue("one"), authority.issue("other"), tmp_path / "empty"
    empty.touch()
    locked = tmp_path / "locked.key"
    openssl("ec", "-in", one.key, "-out", locked, "-aes128", "-passout", "pass:secret")
    for files, message in [
        ({"ca_file": tmp_path / "absent"}, "ca_file .*absent cannot be read: No such file"),
        ({"ca_file": tmp_path}, "ca_file .* cannot be read: Is a directory"),
        ({"ca_file": empty}, "ca_file .*empty holds no PEM certificate"),
        ({"ca_file": one.key}, "holds no PEM certificate"),
        ({"cert_file": one.cert, "key_file": other.key}, "key_file .*other.key is not the key of cert_file .*one.pem"),
        ({"cert_file": one.cert, "key_file": tmp_path / "absent"}, "key_file .*absent cannot be read"),
        ({"cert_file": one.cert, "key_file": locked}, "no PEM certificate and unencrypted private key"),
        ({"cert_file": one.cert}, "has cert_file and no key_file"),
        ({"key_file": one.key}, "has key_file and no cert_file"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            embed("localhost:1", tls=Tls(**files))


@both
def test_an_api_key_goes_with_every_request(triton, url, embed):
    triton.api_key = "right-key"
    assert len(embed(url, api_key="right-key")) == 2
    with pytest.raises(AccessDenied, match=r"no key \(give `api_key=`.*ENCSERVE_API_KEY"):
        embed(url)
    with pytest.raises(AccessDenied, match="the API key that was sent is not valid there") as refused:
        embed(url, api_key="wrong-key")
    assert "wrong-key" not in str(refused.value)
    assert (refused.value.status, len(triton.requests)) == ("UNAUTHENTICATED", 1)


@both
def test_an_api_key_does_not_travel_unencrypted(embed):
    with pytest.raises(InvalidInput, match=r"api_key would travel to 10.0.0.1:8001 unencrypted: give tls=Tls\(\)"):
        embed("10.0.0.1:8001", api_key="secret-key")
    with pytest.raises(InvalidInput, match="api_key must be") as refused:
        embed("localhost:8001", api_key="secret key\n")
    assert "secret" not in str(refused.value)


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
