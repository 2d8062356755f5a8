"""Requests as careless, broken and hostile clients send them: strategies of hypothesis, and a corpus."""

import json

import numpy as np
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

DATATYPES = ["BOOL", "BF16", "BYTES", "FP16", "FP32", "FP64", "INT8", "INT32", "INT64", "UINT8", "UINT32", "UINT64"]
CONTENTS = {
    "bool_contents": st.lists(st.booleans(), max_size=4),
    "int_contents": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4),
    "int64_contents": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
    "uint_contents": st.lists(st.integers(0, 2**32 - 1), max_size=4),
    "uint64_contents": st.lists(st.integers(0, 2**64 - 1), max_size=4),
    "fp32_contents": st.lists(st.floats(width=32), max_size=4),
    "fp64_contents": st.lists(st.floats(), max_size=4),
    "bytes_contents": st.lists(st.binary(max_size=16), max_size=4),
}
MODELS = ("minilm", "minilm_tokenize", "minilm_encode", "minilm_head")


def mostly(good, other):
    """A strategy of three good values to one that is not."""
    return st.integers(0, 3).flatmap(lambda die: other if die == 0 else good)


names = st.text(max_size=12)
model_names = st.one_of(st.sampled_from(["minilm"] * 4 + [*MODELS, "", "absent", "..", "minilm/1"]), names)
versions = st.one_of(st.sampled_from(["", "", "", "1", "2", "-1", "x", "9" * 30]), names)
sizes = st.one_of(
    st.integers(-2, 9),
    st.sampled_from([255, 256, 257, 65_536, 2**20, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, -(2**63)]),
)
shapes = st.one_of(st.just([1, 1]), st.just([1, 2]), st.lists(sizes, max_size=5), st.lists(sizes, max_size=200))
texts = st.one_of(
    st.binary(max_size=32),
    st.text(max_size=64).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.builds(lambda char, count: char.encode() * count, st.characters(codec="utf-8"), st.integers(0, 3_000)),
)
OPTIONS = """truncate normalize dimensions prompt_name output_dtype long_text overlap top_k priority timeout sequence_id
sequence_start sequence_end binary_data_output headers triton_enable_empty_final_response max_length"""
option_names = st.sampled_from(OPTIONS.split())
option_values = st.one_of(
    st.sampled_from(["end", "start", "error", "chunk", "", "query", "float32"]),
    st.text(max_size=12),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
)
parameters = st.dictionaries(st.one_of(option_names, names), option_values, max_size=4)


def framed(elements):
    """A BYTES tensor as it should be."""
    return b"".join(len(each).to_bytes(4, "little") + each for each in elements)


@st.composite
def raw_contents(draw):
    """Bytes of a tensor: right, cut short, with lengths that lie, or anything."""
    raw = framed(draw(st.lists(texts, max_size=4)))
    match draw(st.integers(0, 5)):
        case 0:
            return raw[: draw(st.integers(0, len(raw)))]
        case 1:
            return draw(st.integers(0, 2**32 - 1)).to_bytes(4, "little") + raw
        case 2:
            return draw(st.binary(max_size=64))
        case 3:
            return raw + draw(st.binary(min_size=1, max_size=8))
        case 4:
            integers = draw(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 40_000), max_size=9))
            return b"".join(each.to_bytes(8, "little", signed=True) for each in integers)
    return raw


def set_parameter(proto, value):
    """Whatever type it has."""
    field = {str: "string_param", bool: "bool_param", int: "int64_param", float: "double_param"}[type(value)]
    setattr(proto, field, value)


@st.composite
def grpc_requests(draw):
    """A `ModelInferRequest`, rarely a good one."""
    request = pb.ModelInferRequest(
        model_name=draw(model_names), model_version=draw(versions), id=draw(st.text(max_size=8))
    )
    for key, value in draw(parameters).items():
        set_parameter(request.parameters[key], value)
    raw = draw(st.sampled_from([True, True, True, False, None]))  # None: some of each, which the protocol forbids
    for _ in range(draw(st.sampled_from([1, 1, 1, 1, 0, 2, 3]))):
        name = draw(st.one_of(st.sampled_from(["text"] * 6 + ["text_pair", "input_ids", "lengths"]), names))
        datatype = draw(st.one_of(st.just("BYTES"), st.just("BYTES"), st.sampled_from(DATATYPES), names))
        tensor = request.inputs.add(name=name, datatype=datatype, shape=draw(shapes))
        if draw(st.integers(0, 9)) == 0:
            for key in draw(st.sets(st.sampled_from(SHARED_MEMORY), min_size=1)):
                set_parameter(tensor.parameters[key], draw(option_values))
        if raw or (raw is None and draw(st.booleans())):
            request.raw_input_contents.append(draw(raw_contents()))
        else:
            field = draw(st.sampled_from([*CONTENTS, "bytes_contents", "bytes_contents"]))
            getattr(tensor.contents, field).extend(draw(CONTENTS[field]))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2, 20]))):
        output = request.outputs.add(name=draw(st.one_of(st.sampled_from(["embedding", "token_count"]), names)))
        if draw(st.integers(0, 9)) == 0:
            key = draw(st.sampled_from([*SHARED_MEMORY, "classification", "binary_data"]))
            set_parameter(output.parameters[key], draw(option_values))
    return request


counts = st.lists(mostly(st.integers(0, 4), sizes), min_size=1, max_size=5)
arrivals = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=2)
token_ids = st.lists(mostly(st.integers(0, 30_521), sizes), max_size=12)
# NaN and infinity are faults of the network to the head: INTERNAL, and no refusal.
vectors = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=3).map(
    lambda values: np.repeat(np.array(values, np.float32), 384)
)


@st.composite
def step_requests(draw):
    """A request to a step behind the tokenizer, with the inputs that it has; what they hold rarely fits together."""
    lengths = np.array(draw(counts), np.int64)
    model, tensors = draw(
        st.sampled_from(
            [
                ("minilm_encode", {"input_ids": np.array(draw(token_ids), np.int64), "lengths": lengths}),
                (
                    "minilm_head",
                    {
                        "sentence_embedding": draw(vectors).reshape(-1, 384),
                        "lengths": lengths,
                        "window_count": np.array(draw(counts)).clip(-(2**31), 2**31 - 1).astype(np.int32),
                        "arrived_ns": np.array(draw(arrivals), np.int64),
                    },
                ),
            ]
        )
    )
    request = pb.ModelInferRequest(model_name=model)
    for key, value in draw(mostly(st.just({}), parameters)).items():
        set_parameter(request.parameters[key], value)
    for name, tensor in tensors.items():
        datatype = {"float32": "FP32", "int32": "INT32", "int64": "INT64"}[tensor.dtype.name]
        request.inputs.add(name=name, datatype=datatype, shape=[1, *tensor.shape])
        request.raw_input_contents.append(tensor.tobytes())
    return request


SHARED_MEMORY = ("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


json_tensors = st.fixed_dictionaries(
    {
        "name": mostly(st.just("text"), json_values),
        "shape": mostly(shapes, json_values),
        "datatype": mostly(st.just("BYTES"), st.sampled_from(DATATYPES) | json_values),
        "data": mostly(st.lists(st.text(max_size=20), max_size=3), json_values),
    },
    optional={"parameters": json_values, "nonsense": json_values},
)
json_requests = st.fixed_dictionaries(
    {"inputs": mostly(st.lists(json_tensors, max_size=2), json_values)},
    optional={"outputs": json_values, "parameters": json_values, "id": json_values, "nonsense": json_values},
)


@st.composite
def json_bodies(draw):
    """The body of an HTTP request: a request, a part of one, deep nesting, or anything."""
    body = json.dumps(draw(json_requests)).encode()
    match draw(st.integers(0, 7)):
        case 0:
            return body[: draw(st.integers(0, len(body)))]
        case 1:
            return draw(st.binary(max_size=64))
        case 2:
            depth = draw(st.integers(1, 20_000))
            opening, closing = draw(st.sampled_from([(b"[", b"]"), (b'{"a":', b"}"), (b"[[", b"")]))
            data = b'{"inputs":[{"name":"text","shape":[1,1],"datatype":"BYTES","data":' + opening * depth
            return data + b'"a"' + closing * depth + b"}]}"
        case 3:
            at = draw(st.integers(0, len(body)))
            return body[:at] + draw(st.binary(min_size=1, max_size=4)) + body[at:]
        case 4:
            return json.dumps(draw(json_values)).encode()
    return body


http_paths = st.one_of(
    st.just("/v2/models/minilm/infer"),
    st.just("/v2/models/minilm/versions/1/infer"),
    st.builds("/v2/models/{}/versions/{}/infer".format, st.sampled_from([*MODELS, "absent"]), st.integers(-1, 10**12)),
    st.sampled_from(
        ["/v2", "/v2/health/ready", "/v2/models/minilm", "/v2/models/minilm/config", "/v2/models/minilm/generate", "/"]
    ),
    st.text("abc/%.2e?&=v", max_size=30).map("/".__add__),
)
http_methods = st.sampled_from(["POST"] * 8 + ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
http_headers = st.dictionaries(
    st.sampled_from(
        ["Inference-Header-Content-Length", "Content-Type", "Content-Encoding", "Accept-Encoding", "Expect", "Accept"]
    ),
    st.sampled_from(
        ["", "0", "1", "-1", "40", "99999999999", "x", "gzip", "deflate", "application/json", "100-continue"]
    ),
    max_size=2,
)

# What brought down, or was answered wrongly by, some release of Triton.
GOOD_JSON = b'{"inputs":[{"name":"text","shape":[1,1],"datatype":"BYTES","data":["a good text"]}]}'
HTTP_CORPUS = {
    "nothing": (b"", {}),
    "no object": (b"[]", {}),
    "no inputs": (b"{}", {}),
    "nested data": (
        b'{"inputs":[{"name":"text","shape":[1,1],"datatype":"BYTES","data":' + b"[" * 99_999 + b"]" * 99_999 + b"}]}",
        {},
    ),
    "65 MB": (b" " * 65_000_000, {}),
    "a zip bomb's beginning": (b"\x1f\x8b\x08\x00" + bytes(64), {"Content-Encoding": "gzip"}),
    "a header length beyond the body": (GOOD_JSON, {"Inference-Header-Content-Length": "99999"}),
    "a negative header length": (GOOD_JSON, {"Inference-Header-Content-Length": "-1"}),
    "a null": (b'{"inputs":null}', {}),
    "an infinite number": (b'{"inputs":[{"name":"text","shape":[1e999,1],"datatype":"BYTES","data":["a"]}]}', {}),
    "a shape that overflows": (
        b'{"inputs":[{"name":"text","shape":[4611686018427387904,4],"datatype":"BYTES","data":["a"]}]}',
        {},
    ),
    "a million outputs": (b'{"inputs":[],"outputs":[' + b'{"name":"embedding"},' * 99_999 + b'{"name":"x"}]}', {}),
    "a region of shared memory": (
        b'{"inputs":[{"name":"text","shape":[1,1],"datatype":"BYTES",'
        b'"parameters":{"shared_memory_region":"triton_python_backend_shm_region_1","shared_memory_byte_size":9}}]}',
        {},
    ),
}


def greetings(key):
    """Beginnings of requests of who has an API key: (encrypted, bytes)."""
    head = f"POST /v2/models/minilm/infer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n".encode()
    chunk = b"1\r\n \r\n"
    length = f"Inference-Header-Content-Length: {len(GOOD_JSON)}\r\n".encode()
    chunked = length + b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(GOOD_JSON):x}\r\n".encode() + GOOD_JSON + b"\r\n"
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    return st.one_of(
        st.sampled_from(
            [
                (True, head),  # half a request
                (True, head + length + b"Content-Length: 1000\r\n\r\n{"),
                (True, head + b"Content-Length: -1\r\n\r\n{}"),
                (True, head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}"),
                (True, head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                (True, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 50_000 + b"0\r\n\r\n"),
                (True, head + chunked + chunk * 50_000 + b"0\r\n\r\n"),
                (True, head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
                (True, head + b"X: " + b"y" * 100_000 + b"\r\n\r\n"),
                (True, (head + b"\r\n") * 100),
                (True, GOOD_JSON),
                (False, head + b"\r\n"),  # plain, where TLS is spoken
                (False, preface + bytes(9)),  # HTTP/2 to the server itself: an empty frame
                (False, preface + b"\xff\xff\xff" + bytes(6)),  # the largest frame, without its content
                (False, preface + b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\xff\xff" * 1_000),
            ]
        ),
        st.tuples(st.booleans(), st.binary(min_size=1, max_size=2_000)),
    )
