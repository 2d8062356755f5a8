"""The gateway of deploy/gateway, which is Debian's nginx, before a real server."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from edge import Gateway
from fuzz_cases import framed
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from encserve import ADMIN_KEY, AccessDenied, InvalidInput, RateLimited, Retry, Unavailable

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx: apt-get install nginx")

ONCE = Retry(attempts=1)


@pytest.fixture(scope="module")
def gateway(server, authority, tmp_path_factory):
    before = Gateway(tmp_path_factory.mktemp("gateway"), server, authority)
    before.key = before.new_key("alice")
    with before:
        yield before


@pytest.fixture(scope="module")
def stub(gateway):
    credentials = grpc.ssl_channel_credentials(gateway.authority.cert.read_bytes())
    with grpc.secure_channel(gateway.url, credentials) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def bearer(gateway):
    return (("authorization", f"Bearer {gateway.key}"),)


def infer_body(*texts):
    """A request with its texts as bytes behind the JSON, and the header that says where they begin."""
    tensor = framed([text.encode() for text in texts])
    inputs = [
        {
            "name": "text",
            "shape": [1, len(texts)],
            "datatype": "BYTES",
            "parameters": {"binary_data_size": len(tensor)},
        }
    ]
    header = json.dumps({"inputs": inputs, "outputs": [{"name": "embedding"}]}).encode()
    return {"body": header + tensor, "headers": {"Inference-Header-Content-Length": str(len(header))}}


def test_a_key_opens_grpc_and_http(gateway, client):
    expected = client.embed(["a text"], model="minilm").vectors
    with gateway.client(api_key=gateway.key) as through:
        assert np.abs(through.embed(["a text"], model="minilm").vectors - expected).max() <= 1e-6
        assert {pipeline.name for pipeline in through.models()} == {"minilm", "prompted"}
    status, _, answer = gateway.http("POST", "/v2/models/minilm/infer", key=gateway.key, **infer_body("a text"))
    assert status == 200, answer
    assert np.abs(np.array(answer["outputs"][0]["data"], np.float32) - expected[0]).max() <= 1e-5
    assert gateway.http("GET", "/v2/models/minilm/config", key=gateway.key)[0] == 200
    assert gateway.http("GET", "/v2/health/ready", key=gateway.key)[0] == 200


@pytest.mark.parametrize("key", [None, "x" * 64])
def test_without_a_key_nothing_opens(gateway, key):
    with gateway.client(api_key=key, retry=ONCE) as through, pytest.raises(AccessDenied, match="API key") as refused:
        through.embed(["a text" * 10_000] * 60, model="minilm")
    assert refused.value.status == "UNAUTHENTICATED"
    for method, path in (("POST", "/v2/models/minilm/infer"), ("GET", "/v2"), ("GET", "/"), ("POST", "/v2/logging")):
        status, headers, answer = gateway.http(method, path, key=key, **(infer_body("x") if method == "POST" else {}))
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert "API key" in answer["error"]


@pytest.mark.parametrize(
    "header",
    ["{key}", "Basic {key}", "Bearer  {key}", "Bearer {key} ", "Bearer {hash}", "Bearer", "bearer \t", "Bearer {key}x"],
)
def test_what_is_not_quite_a_key(gateway, header):
    (line,) = (gateway.folder / "keys.map").read_text().splitlines()
    sent = header.format(key=gateway.key, hash=line.split('"')[1])
    status = gateway.http("GET", "/v2", headers={"Authorization": sent})[0]
    assert status == (200 if sent.strip() == f"Bearer {gateway.key}" else 401)  # HTTP itself drops outer spaces


CLOSED_CALLS = {
    "RepositoryModelLoad": pb.RepositoryModelLoadRequest(model_name="minilm"),
    "RepositoryModelUnload": pb.RepositoryModelUnloadRequest(model_name="minilm"),
    "ModelStatistics": pb.ModelStatisticsRequest(),
    "TraceSetting": pb.TraceSettingRequest(),
    "LogSettings": pb.LogSettingsRequest(),
    "SystemSharedMemoryRegister": pb.SystemSharedMemoryRegisterRequest(name="x", key="/x", byte_size=1),
    "CudaSharedMemoryStatus": pb.CudaSharedMemoryStatusRequest(),
}


@pytest.mark.parametrize("call", CLOSED_CALLS)
def test_administration_does_not_pass_even_with_the_secret(gateway, server, stub, call):
    secret = ((f"triton-grpc-protocol-{ADMIN_KEY}", server.admin_secret),)
    with pytest.raises(grpc.RpcError, match="does not pass the gateway") as refused:
        getattr(stub, call)(CLOSED_CALLS[call], timeout=120, metadata=bearer(gateway) + secret)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_streams_do_not_pass(gateway, stub):
    with pytest.raises(grpc.RpcError) as refused:
        list(
            stub.ModelStreamInfer(
                iter([pb.ModelInferRequest(model_name="minilm")]), timeout=120, metadata=bearer(gateway)
            )
        )
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/minilm/load"),
        ("POST", "/v2/models/../repository/models/minilm/unload"),
        ("POST", "/v2/models/minilm/%2e%2e/%2e%2e/repository/index"),
        ("POST", "//v2/repository/index"),
        ("GET", "/v2/models/stats"),
        ("GET", "/v2/logging"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("GET", "/metrics"),
        ("POST", "/v2/models/minilm/generate"),
        ("GET", "/etc/passwd"),
        ("POST", "/2.2/a"),  # as if it were a call of gRPC
        ("POST", "/inference.GRPCInferenceService/ModelInfer"),
    ],
)
def test_other_paths_do_not_pass(gateway, server, method, path):
    headers = {ADMIN_KEY: server.admin_secret}
    status, _, answer = gateway.http(
        method, path, key=gateway.key, body="{}" if method == "POST" else None, headers=headers
    )
    assert status == 403, answer
    assert "does not pass" in answer["error"]


def test_the_size_of_a_request_is_limited(gateway, stub):
    large = pb.ModelInferRequest(model_name="minilm", raw_input_contents=[b"x" * (65 << 20)])
    with pytest.raises(grpc.RpcError, match="larger than the gateway lets through: 64 MiB") as refused:
        stub.ModelInfer(large, timeout=120, metadata=bearer(gateway))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    status, _, answer = gateway.http("POST", "/v2/models/minilm/infer", key=gateway.key, body=b" " * (2 << 20))
    assert (status, "1 MiB" in answer["error"]) == (413, True)


def test_compressed_requests_do_not_pass(gateway, stub):
    """A few kilobytes can be gigabytes in the server."""
    with pytest.raises(grpc.RpcError, match="compressed") as refused:
        stub.ModelReady(
            pb.ModelReadyRequest(name="minilm"),
            timeout=120,
            metadata=bearer(gateway),
            compression=grpc.Compression.Gzip,
        )
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    headers = {"Content-Encoding": "gzip"}
    assert gateway.http("POST", "/v2/models/minilm/infer", key=gateway.key, body=b"x", headers=headers)[0] == 415


@pytest.mark.parametrize("encoding", ["", "identity"])
def test_an_encoding_that_is_none_passes(gateway, encoding):
    """Triton answers it with 501."""
    request = infer_body("a text")
    request["headers"]["Content-Encoding"] = encoding
    status, _, answer = gateway.http("POST", "/v2/models/minilm/infer", key=gateway.key, **request)
    assert status == 200, answer


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("closed", [True, False])
def test_as_much_json_as_passes_does_no_harm(gateway, server, client, opening, closing, closed):
    """Deep nesting ends Triton 2.51; so deep it cannot be within so few bytes."""
    depth = (9_999 - 80) // len(opening + closing if closed else opening)
    deep = opening * depth + b'"a"' + (closing * depth if closed else b"")
    header = b'{"inputs":[{"name":"text","shape":[1,1],"datatype":"BYTES","data":' + deep + b"}]}"
    assert 9_900 < len(header) <= 9_999
    headers = {"Inference-Header-Content-Length": str(len(header))}
    pid = server.pid
    status, _, answer = gateway.http("POST", "/v2/models/minilm/infer", key=gateway.key, body=header, headers=headers)
    assert status in (200, 500), answer  # Triton flattens lists, and knows no objects there
    assert client.embed(["a text"], model="minilm").vectors.shape == (1, 384)
    assert server.pid == pid


@pytest.fixture
def narrow(server, authority, tmp_path):
    before = Gateway(tmp_path, server, authority, rate=1, burst=4, at_once=8)
    before.key, before.other = before.new_key("alice"), before.new_key("bob")
    with before:
        yield before


def test_the_rate_of_a_key_is_limited(narrow):
    texts = [f"text {number}" for number in range(20)]
    with (
        narrow.client(api_key=narrow.key, retry=ONCE, texts_per_request=1, concurrency=20) as through,
        pytest.raises(RateLimited) as refused,
    ):
        through.embed(texts, model="minilm")
    assert (refused.value.status, refused.value.retry_after_s) == ("RESOURCE_EXHAUSTED", 1.0)
    assert "too many requests of this API key" in str(refused.value)
    with ThreadPoolExecutor(20) as threads:  # all at once: one after another they might keep to the rate
        answers = list(threads.map(lambda _: narrow.http("GET", "/v2", key=narrow.key), range(20)))
    limited = [(headers["retry-after"], answer["error"]) for status, headers, answer in answers if status == 429]
    assert limited
    assert limited[0][0] == "1"
    assert "too many requests" in limited[0][1]
    assert narrow.http("GET", "/v2", key=narrow.other)[0] == 200  # the rate of one key is not that of another


def test_the_sdk_comes_back_when_it_was_told(narrow):
    texts = [f"text {number}" for number in range(16)]
    patient = narrow.client(api_key=narrow.key, retry=Retry(attempts=100), timeout_s=300)
    with patient as through, ThreadPoolExecutor(len(texts)) as threads:
        whole = through.embed(texts, model="minilm")
        again = list(threads.map(lambda text: through.embed([text], model="minilm").vectors[0], texts))  # all at once
    assert np.abs(np.stack(again) - whole.vectors).max() <= 1e-5
    assert '"grpc_status":"8"' in narrow.log()  # it was refused meanwhile


def test_requests_at_a_time_are_limited(server, authority, tmp_path):
    before = Gateway(tmp_path, server, authority, at_once=1)
    key = before.new_key("alice")
    with before, before.client(api_key=key, retry=ONCE) as through, ThreadPoolExecutor(16) as threads:
        through.embed(["x"], model="minilm")
        texts = [f"{number} words " * 100 for number in range(64)]
        calls = [threads.submit(through.embed, texts, model="minilm") for _ in range(16)]
        failures = [call.exception() for call in calls]
    assert any(isinstance(failure, RateLimited) for failure in failures)
    assert any(failure is None for failure in failures)
    assert all(failure is None or isinstance(failure, RateLimited) for failure in failures), failures


def test_a_key_can_be_withdrawn(narrow):
    assert narrow.http("GET", "/v2", key=narrow.other)[0] == 200
    keys = narrow.folder / "keys.map"
    keys.write_text("\n".join(line for line in keys.read_text().splitlines() if "bob" not in line))
    narrow.process.send_signal(1)  # what `nginx -s reload` sends
    deadline_s = time.monotonic() + 60
    while narrow.http("GET", "/v2", key=narrow.other)[0] != 401:
        assert time.monotonic() < deadline_s, "the withdrawn key still opens"
        time.sleep(0.05)


def test_a_server_that_is_down(server, authority, tmp_path):
    before = Gateway(tmp_path, server, authority)
    for port in (server.config.grpc_port, server.config.http_port):
        before.set("http.conf", f"server 127.0.0.1:{port};", "server 127.0.0.1:9;")
    key = before.new_key("alice")
    with before, before.client(api_key=key, retry=ONCE) as through:
        with pytest.raises(Unavailable, match="server behind the gateway does not answer") as refused:
            through.embed(["x"], model="minilm")
        assert refused.value.status == "UNAVAILABLE"
        assert before.http("GET", "/v2", key=key)[0] == 503


def test_the_access_log_has_neither_texts_nor_keys(gateway):
    canary = "canary-4711"
    with gateway.client(api_key=gateway.key) as through:
        through.embed([canary], model="minilm")
        with pytest.raises(InvalidInput):
            through.embed([canary], model="minilm", prompt_name=canary)
    gateway.http("POST", "/v2/models/minilm/infer", key=gateway.key, **infer_body(canary))
    gateway.http("POST", f"/v2/models/{canary}/infer?{canary}", key=gateway.key, **infer_body(canary))
    records = [json.loads(line) for line in gateway.log().splitlines()]
    assert {"grpc ModelInfer", "http infer"} <= {record["route"] for record in records}
    assert {record["client"] for record in records} <= {"alice", ""}
    for written in (gateway.log(), gateway.log("error.log")):
        assert canary not in written
        assert gateway.key not in written
