"""Streams through the nginx of deploy/gateway, which an operator lets pass, within limits of their own."""

import http.client
import json
import shutil
import ssl
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from edge import DEPLOYED, Gateway
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from encserve import AccessDenied, RateLimited, Retry

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx: apt-get install nginx")

TEXT = "one two three"
LONG = {"min_new_tokens": 40, "max_new_tokens": 40}
PATH = "/v2/models/t5_generate/generate_stream"


@pytest.fixture(scope="module")
def edge(generating, authority, tmp_path_factory):
    before = Gateway(tmp_path_factory.mktemp("edge"), generating, authority)
    shutil.copy(DEPLOYED / "streams.conf", before.folder / "settings")
    before.key, before.hasty = before.new_key("alice"), before.new_key("hasty")
    with before:
        yield before


@pytest.fixture
def opened(edge):
    """A connection over HTTP, and what an answer to a body is on it."""
    context = ssl.create_default_context(cafile=edge.authority.cert)
    connection = http.client.HTTPSConnection("localhost", edge.port, context=context, timeout=60)

    def ask(key=edge.key, **body):
        headers = {"Authorization": f"Bearer {key}"}
        connection.request(
            "POST", PATH, body=json.dumps({"text": TEXT, "stream": True, **LONG} | body), headers=headers
        )
        return connection.getresponse()

    yield ask
    connection.close()


def test_texts_come_in_pieces_over_grpc(edge, connected):
    whole = connected.generate([TEXT], model="t5", **LONG).texts
    with edge.client(api_key=edge.key) as through:
        with through.generate_stream(TEXT, model="t5", **LONG) as stream:
            pieces = list(stream)
        assert len(pieces) > 2
        assert ["".join(pieces)] == whole
        assert through.generate([TEXT], model="t5", **LONG).texts == whole
    assert '"route":"grpc ModelStreamInfer"' in edge.log()


def test_texts_come_in_pieces_over_http(edge, connected, opened):
    answer = opened()
    assert answer.status == 200, answer.read()
    first = answer.readline()  # which is there before the rest is made
    lines = [first, *answer.read().splitlines(keepends=True)]
    told = [json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: ")]
    assert len(told) > 2
    assert ["".join(each["text_output"] for each in told)] == connected.generate([TEXT], model="t5", **LONG).texts
    assert '"route":"http generate_stream"' in edge.log()


def test_without_a_key_no_stream_opens(edge, opened):
    with edge.client(retry=Retry(attempts=1)) as through, pytest.raises(AccessDenied):
        through.generate([TEXT], model="t5")
    assert opened(key="x" * 64).status == 401


def test_streams_over_http_reach_what_generates_alone(edge):
    status, _, answer = edge.http("POST", PATH.replace("t5_generate", "t5"), key=edge.key, body="{}")
    assert (status, "does not pass" in answer["error"]) == (403, True)


def requests(count, size=1_000):
    for _ in range(count):
        request = pb.ModelInferRequest(model_name="t5_generate")
        request.inputs.add(name="text", datatype="BYTES", shape=[1, 1]).contents.bytes_contents.append(b"a" * size)
        request.parameters["max_new_tokens"].int64_param = 1
        yield request


def refused_by(edge, count, **each):
    """The error that ends a stream of so many requests; None where all are answered."""
    credentials = grpc.ssl_channel_credentials(edge.authority.cert.read_bytes())
    with grpc.secure_channel(edge.url, credentials) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        metadata = (("authorization", f"Bearer {edge.key}"),)
        try:
            assert len(list(stub.ModelStreamInfer(requests(count, **each), timeout=60, metadata=metadata))) >= count
        except grpc.RpcError as error:
            return error
    return None


def test_what_a_stream_carries_is_limited(edge, opened):
    assert refused_by(edge, 8) is None
    refused = refused_by(edge, 1, size=20_000)
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.details() == "the requests of a stream are larger than the gateway lets through: 16 KiB"
    broken_off = refused_by(edge, 40)  # when answers have begun there is no other way left
    assert broken_off.code() is grpc.StatusCode.INTERNAL or broken_off.details() == refused.details()
    answer = opened(text="a" * 10_000)
    assert (answer.status, "9999 bytes" in json.loads(answer.read())["error"]) == (413, True)


def test_errors_stay_messages_whatever_a_caller_wants(edge):
    """With this metadata the status itself would end the stream, and some hundred refusals Triton 2.51."""
    credentials = grpc.ssl_channel_credentials(edge.authority.cert.read_bytes())
    with grpc.secure_channel(edge.url, credentials) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        metadata = (("authorization", f"Bearer {edge.key}"), ("triton_grpc_error", "true"))
        wrong = pb.ModelInferRequest(model_name="nobody")
        (answer,) = stub.ModelStreamInfer(iter([wrong]), timeout=60, metadata=metadata)
    assert "nobody" in answer.error_message


def test_the_rate_of_streams_is_that_of_a_key(edge):
    once = edge.client(api_key=edge.hasty, retry=Retry(attempts=1), timeout_s=60)
    with once as through, ThreadPoolExecutor(40) as threads:
        calls = [threads.submit(through.generate, [TEXT], model="t5", max_new_tokens=1) for _ in range(100)]
        failures = [call.exception() for call in calls]
    assert {type(failure) for failure in failures} == {type(None), RateLimited}
    assert "too many streams of this API key" in str(next(filter(None, failures)))
    with edge.client(api_key=edge.key) as through:
        assert through.generate([TEXT], model="t5", max_new_tokens=1).texts
