"""Bad input against the real server: each answer names the thing, the limit and the value, and fails nobody else."""

import concurrent.futures

import grpc
import numpy as np
import pytest
from own_ports import own_ports
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from encserve import Client, InvalidInput, ModelNotFound, Unavailable


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a bare string", r"\['a bare string'\]|\[text\]|list"),
        (b"bytes", "list|bytes"),
        (["fine", None], r"1.*NoneType"),
        (["fine", 3.5], r"1.*float"),
        (["fine", "lone \ud800 surrogate"], r"1.*surrogate|1.*encod|1.*UTF-8"),
        (["fine", "x" * 1_000_000], r"1.*1,?000,?000.*262,?144"),
    ],
)
def test_texts_that_cannot_be_sent(client, texts, message):
    with pytest.raises(InvalidInput, match=message):
        client.embed(texts, model="minilm")


def test_no_texts_and_an_empty_text(client):
    nothing = client.embed([], model="minilm")
    assert (nothing.vectors.shape, nothing.token_counts.shape) == ((0, 384), (0,))
    assert client.embed([""], model="minilm").token_counts.tolist() == [2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truncate": "middle"}, "truncate.*'middle'"),
        ({"dimensions": 0}, "dimensions.*0.*1 to 384|dimensions.*0"),
        ({"dimensions": 385}, "dimensions.*385.*384"),
        ({"prompt_name": "query"}, "prompt_name.*'query'"),
        ({"truncate": "error"}, "text 0 has .* tokens; max_length is 256|tokens"),
    ],
)
def test_options_that_are_not_offered(client, options, message):
    with pytest.raises(InvalidInput, match=message):
        client.embed(["word " * 300], model="minilm", **options)


def test_a_model_that_is_not_there(client):
    with pytest.raises(ModelNotFound, match="absent"):
        client.embed(["x"], model="absent")


def test_no_server():
    (port,) = own_ports(1)
    with (
        Client(f"127.0.0.1:{port}", timeout_s=5) as lonely,
        pytest.raises(Unavailable, match=f"{port}.*encserve serve"),
    ):
        lonely.embed(["x"], model="minilm")


def raw_request(elements, shape=None, parameters=None):
    """A request as a careless client in any language may send it."""
    request = pb.ModelInferRequest(model_name="minilm")
    request.inputs.add(name="text", datatype="BYTES", shape=shape or [1, len(elements)])
    request.raw_input_contents.append(b"".join(len(each).to_bytes(4, "little") + each for each in elements))
    for key, value in (parameters or {}).items():
        setattr(
            request.parameters[key], {str: "string_param", int: "int64_param", bool: "bool_param"}[type(value)], value
        )
    return request


def step_request(step, **tensors):
    """A request to a step of the pipeline, past those before it."""
    request = pb.ModelInferRequest(model_name=f"minilm_{step}")
    for name, values in tensors.items():
        request.inputs.add(name=name, datatype="INT64", shape=[1, len(values)])
        request.raw_input_contents.append(np.array(values, np.int64).tobytes())
    return request


BAD_REQUESTS = {
    "invalid UTF-8": (raw_request([b"ok", b"caf\xe9"]), "text 1 is not valid UTF-8: .* at byte 3"),
    "a large text": (
        raw_request([b"x" * 17_000_000]),
        "text 0 has 17000000 bytes; max_bytes_per_text is 16777216",
    ),
    "a large word": (
        raw_request([b"x" * 300_000]),
        "text 0 has 300000 characters, and the first 262144 of them hold no place to cut it",
    ),
    "many texts": (raw_request([b"x"] * 257), "the request has 257 texts; max_texts_per_request is 256"),
    "no text": (raw_request([], shape=[1, 0]), "text"),
    "texts in rows": (raw_request([b"a", b"b"], shape=[2, 1]), r"shape \[2, 1\]; \[1, n\] is expected"),
    "an unknown option": (
        raw_request([b"a"], parameters={"pool": "cls"}),
        "unknown option 'pool'; this pipeline knows",
    ),
    "an option of another type": (raw_request([b"a"], parameters={"normalize": 1}), "option normalize is 1"),
    "a missing input": (pb.ModelInferRequest(model_name="minilm"), "expected 1 inputs but got 0|text"),
    "a token that the network does not know": (
        step_request("encode", input_ids=[101, 30_522, 102], lengths=[3]),
        "input_ids holds 30522; 0 to 30521 are expected",
    ),
    "more tokens than the network takes": (
        step_request("encode", input_ids=[101] * 1_000, lengths=[1_000]),
        "a text has 1000 tokens; 1 to 256 are expected",
    ),
    "lengths of other tokens": (
        step_request("encode", input_ids=[101, 102], lengths=[1]),
        "lengths add up to 1, and input_ids has 2 tokens",
    ),
    "half an element": (raw_request([b"abc"], shape=[1, 2]), "text|expected"),
}


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.grpc_url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_requests_that_no_sdk_of_ours_would_send(stub, case):
    request, message = BAD_REQUESTS[case]
    with pytest.raises(grpc.RpcError, match=message) as refused:
        stub.ModelInfer(request, timeout=120)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_bad_requests_do_not_fail_their_neighbours(stub, client):
    """Good and bad requests at once, so that they share batches."""
    expected = client.embed(["a good text"], model="minilm").vectors[0]
    good = raw_request([b"a good text"])
    bad = [request for request, _ in BAD_REQUESTS.values()]

    def ask(number):
        if number % 2:
            with pytest.raises(grpc.RpcError):
                stub.ModelInfer(bad[number // 2 % len(bad)], timeout=120)
            return
        answer = stub.ModelInfer(good, timeout=120)
        index = [output.name for output in answer.outputs].index("embedding")
        vector = np.frombuffer(answer.raw_output_contents[index], np.float32)
        assert np.abs(vector - expected).max() <= 1e-5

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        list(pool.map(ask, range(200)))
