"""Over a thousand bad requests in `make test`, and more than fifty thousand in `make soak`, to the real endpoints.

gRPC is asked directly and through the gateway; HTTP through the gateway, because the HTTP endpoint of Triton 2.51
itself ends with a crash on some of these (docs/security.md). After each hundred cases a good request is answered
correctly, no process of the server was replaced, and at the end its memory is what it was.
"""

import json
import math
import shutil
import socket
import ssl
import time
from collections import Counter

import grpc
import numpy as np
import pytest
from edge import Gateway
from fuzz_cases import (
    HTTP_CORPUS,
    framed,
    greetings,
    grpc_requests,
    http_headers,
    http_methods,
    http_paths,
    json_bodies,
    names,
    option_values,
    step_requests,
)
from fuzz_target import Http, Target, is_refusal, settled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import serve_config
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from encserve import EncserveError
from encserve_server.launcher.server import TritonServer

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx: apt-get install nginx")

FEW = {"grpc": 400, "http": 300, "sdk": 300, "sockets": 60, "large": 1}
MANY = {"grpc": 30_000, "http": 16_000, "sdk": 6_000, "sockets": 2_000, "large": 8}
WARM_UP = 150

REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.OUT_OF_RANGE,
}


@pytest.fixture(scope="module")
def target(repository, authority, tmp_path_factory):
    with (
        TritonServer(serve_config(repository, models=("minilm",))) as server,
        Gateway(tmp_path_factory.mktemp("gateway"), server, authority, rate=100_000, burst=100_000) as gateway,
    ):
        target = Target(server, gateway)
        gateway.process.send_signal(1)  # reads the new key
        while gateway.http("GET", "/v2", key=target.key)[0] == 401:
            time.sleep(0.05)
        yield target
        target.client.close()


def examples(count, seed):
    """Cases that are the same in every run of CI, and new ones in each soak."""
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=seed,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def run(cases, *, count, few, **strategies):
    """Make `count` cases of the strategies, and send each."""
    examples(count, few)(given(**strategies)(cases))()


AMOUNTS = [
    pytest.param("few", id="few"),
    pytest.param("many", id="many", marks=pytest.mark.slow),
]


@pytest.fixture(params=AMOUNTS)
def amount(request):
    """How many cases of each kind, and whether they are always the same."""
    return FEW if request.param == "few" else MANY


@pytest.fixture
def stubs(target):
    credentials = grpc.ssl_channel_credentials(target.gateway.authority.cert.read_bytes())
    with (
        grpc.insecure_channel(target.server.grpc_url) as direct,
        grpc.secure_channel(target.gateway.url, credentials) as through,
    ):
        yield [
            (service_pb2_grpc.GRPCInferenceServiceStub(direct), ()),
            (service_pb2_grpc.GRPCInferenceServiceStub(through), (("authorization", f"Bearer {target.key}"),)),
        ]


def infer(stub, request, metadata):
    """(status, words) of the answer."""
    try:
        answer = stub.ModelInfer(request, timeout=60, metadata=metadata)
    except grpc.RpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, answer.model_name


def test_grpc(target, stubs, amount):
    sent = Counter()

    def case(request):
        sent["cases"] += 1
        stub, metadata = stubs[sent["cases"] % 2]
        status, details = infer(stub, request, metadata)
        assert status in REFUSALS or status is grpc.StatusCode.OK, (status, details, request)
        assert status is grpc.StatusCode.OK or len(details) > 10, (status, request)
        target.count("grpc", status.name)

    run(case, count=WARM_UP, few=True, request=grpc_requests() | step_requests())
    before_mib = target.memory_mib()
    run(case, count=amount["grpc"], few=amount is FEW, request=grpc_requests() | step_requests())
    settled(target, before_mib)


@pytest.fixture
def asker(target):
    """HTTP through the gateway."""
    asking = Http(target)
    yield asking
    asking.close()


def as_header(body, headers):
    """The headers of a body that is JSON altogether, without tensors behind it, as the gateway wants them."""
    return {"Inference-Header-Content-Length": str(len(body)), **headers}


def check_http(target, asker, method, path, body, headers):
    status, answer = asker.ask(method, path, body, headers)
    assert status is not None, (method, path, headers, body[:1000])
    assert status == 200 or is_refusal(status, answer), (status, answer[:500], method, path, headers, body[:1000])
    if method != "HEAD" and status != 200:
        assert len(answer) > 10, (status, answer, method, path)
    target.count("http", str(status))


@pytest.mark.parametrize("name", HTTP_CORPUS)
def test_old_offenders_over_http(target, asker, name):
    body, headers = HTTP_CORPUS[name]
    status, answer = asker.ask("POST", "/v2/models/minilm/infer", body, as_header(body, headers))
    assert is_refusal(status, answer), answer[:500]
    assert json.loads(answer)["error"]
    target.check()


def test_http(target, asker, amount):
    def case(method, path, body, headers):
        body = body if method == "POST" else b""
        check_http(target, asker, method, path, body, as_header(body, headers))

    strategies = {"method": http_methods, "path": http_paths, "body": json_bodies(), "headers": http_headers}
    run(case, count=WARM_UP, few=True, **strategies)
    before_mib = target.memory_mib()
    run(case, count=amount["http"], few=amount is FEW, **strategies)
    settled(target, before_mib)


VERBS = ("embed", "classify", "rerank", "classify_tokens", "fill_mask", "score", "embed_sparse", "embed_tokens")
anything = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.integers(),
    st.floats(),
    st.lists(st.text(max_size=20) | st.none() | st.integers() | st.binary(max_size=4), max_size=4),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
    st.just(np.zeros((2, 2))),
)


def call(verb, arguments, options):
    """What it raised, or None."""
    try:
        verb(*arguments, **options)
    except (EncserveError, TypeError) as error:
        return error
    return None


def test_sdk(target, amount):
    """Whatever is passed, it is answered or refused by an error of encserve."""

    def case(verb, texts, model, options):
        arguments = [texts, ["a document"]] if verb == "rerank" else [texts]
        refused = call(getattr(target.client, verb), arguments, {"model": model, **options})
        # Python has its own words for an argument that a verb has not.
        assert refused is None or isinstance(refused, EncserveError) or "unexpected keyword" in str(refused), repr(
            refused
        )
        assert refused is None or len(str(refused)) > 10
        target.count("sdk", type(refused).__name__)

    options = st.dictionaries(
        st.sampled_from(["truncate", "prompt_name", "dimensions", "normalize", "output_dtype", "top_k", "timeout_s"]),
        option_values.filter(lambda value: not isinstance(value, float) or math.isfinite(value)),
        max_size=2,
    )
    models = st.one_of(st.just("minilm"), st.just("minilm"), names, anything)
    run(
        case,
        count=amount["sdk"],
        few=amount is FEW,
        verb=st.sampled_from(VERBS),
        texts=anything | st.lists(st.text(max_size=20), max_size=4),
        model=models,
        options=options,
    )


def test_half_requests_and_slow_senders(target, amount):
    """Each sends something, waits, and goes without a word; a few stay for the whole test."""
    context = ssl.create_default_context(cafile=target.gateway.authority.cert)
    lingering = []

    def case(greeting, stays):
        encrypted, content = greeting
        port = target.gateway.port if encrypted else target.server.config.grpc_port
        connection = socket.create_connection(("localhost", port), timeout=10)
        try:
            if encrypted:
                connection = context.wrap_socket(connection, server_hostname="localhost")
            connection.sendall(content)
            if stays and len(lingering) < 50:
                lingering.append(connection)
                return
            connection.settimeout(0.05)
            answer = connection.recv(12)
            if answer.startswith(b"HTTP/1.1 "):
                assert answer[9:10] == b"4", (content[:500], answer)
        except (OSError, ssl.SSLError):  # hung up on, or no answer yet
            pass
        finally:
            if connection not in lingering:
                connection.close()
        target.count("sockets", "gone")

    before_mib = target.memory_mib()
    run(case, count=amount["sockets"], few=amount is FEW, greeting=greetings(target.key), stays=st.booleans())
    target.check()
    for connection in lingering:
        connection.close()
    target.check()
    settled(target, before_mib)


def test_large_bodies(target, stubs, amount):
    """65 MB over gRPC: the gateway refuses it for its size, the server itself for what is in it."""
    whole = pb.ModelInferRequest(model_name="minilm")
    whole.inputs.add(name="text", datatype="BYTES", shape=[1, 1])
    whole.raw_input_contents.append(framed([b"x" * 65_000_000]))
    many = pb.ModelInferRequest(model_name="minilm")
    many.inputs.add(name="text", datatype="BYTES", shape=[1, 6_000_000])
    many.raw_input_contents.append(framed([b"1234567"]) * 6_000_000)
    target.check()
    before_mib = None
    for _ in range(amount["large"]):
        for request in (whole, many):
            for stub, metadata in stubs:
                with pytest.raises(grpc.RpcError) as refused:
                    stub.ModelInfer(request, timeout=120, metadata=metadata)
                assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT, refused.value.details()
        if before_mib is None:
            before_mib = target.memory_mib()  # with the buffers that one such request leaves
        target.check()
    settled(target, before_mib)
