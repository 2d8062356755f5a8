import numpy as np
import pytest

from encserve import ContractError, InferRequest, InvalidInput
from encserve._transport.wire import request_from_proto, request_to_proto, response_from_proto, response_to_proto


def round_trip(tensors):
    return response_from_proto(response_to_proto(tensors, model="m", version="2", request_id="r")).tensors


def test_request_round_trip():
    request = InferRequest(
        model="m",
        inputs={"text": [b"", "ä".encode(), b"\x00" * 300], "ids": np.arange(6).reshape(1, 6)},
        outputs=("a", "b"),
        parameters={"truncate": "end", "dimensions": 64, "normalize": False},
        request_id="r",
        model_version="3",
    )
    back = request_from_proto(request_to_proto(request))
    assert back.inputs["text"] == request.inputs["text"]
    np.testing.assert_array_equal(back.inputs["ids"], request.inputs["ids"])
    assert (back.model, back.model_version, back.request_id) == ("m", "3", "r")
    assert back.outputs == request.outputs
    assert back.parameters == request.parameters
    assert type(back.parameters["normalize"]) is bool


def test_bytes_are_laid_out_as_the_protocol_says():
    proto = request_to_proto(InferRequest(model="m", inputs={"text": [b"ab", b""]}, outputs=()))
    assert list(proto.inputs[0].shape) == [1, 2]
    assert proto.inputs[0].datatype == "BYTES"
    assert proto.raw_input_contents[0] == b"\x02\x00\x00\x00ab\x00\x00\x00\x00"


@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">f4", ">i8"])
def test_arrays_round_trip(dtype):
    array = np.array([[0, 1, 7], [1, 0, 3]], dtype)
    back = round_trip({"a": array, "strided": array[:, ::2]})
    np.testing.assert_array_equal(back["a"], array)
    np.testing.assert_array_equal(back["strided"], array[:, ::2])
    assert back["a"].dtype == array.dtype.newbyteorder("=")
    assert back["a"].flags.writeable


def test_bytes_arrays_and_empty_arrays_round_trip():
    labels = np.array([[b"yes", b""]], object)
    back = round_trip({"label": labels, "none": np.empty((1, 0, 3), np.float32)})
    assert back["label"].tolist() == [[b"yes", b""]]
    assert back["none"].shape == (1, 0, 3)


def test_refuses_a_dtype_that_the_protocol_lacks():
    with pytest.raises(InvalidInput, match="'a' has dtype complex64"):
        round_trip({"a": np.zeros(1, np.complex64)})


@pytest.mark.parametrize(
    ("tensor", "raw", "problem"),
    [
        (np.zeros((1, 2), np.float32), b"\x00" * 12, r"12 bytes is not: cannot reshape array of size 3 into .*\(1,2\)"),
        (np.zeros((1, 2), np.float32), b"\x00" * 7, "7 bytes is not: buffer size must be a multiple"),
        ([b"a", b"b"], b"\x01\x00\x00\x00a", r"5 bytes is not: cannot reshape array of size 1 into .*\(1,2\)"),
        ([b"a"], b"\x09\x00\x00\x00a", "5 bytes is not: unpack_from requires a buffer of at least 13 bytes"),
        ([b"a"], b"\x01\x00", "2 bytes is not: unpack_from requires a buffer of at least 4 bytes"),
    ],
)
def test_content_that_does_not_match_its_shape(tensor, raw, problem):
    proto = response_to_proto({"a": tensor}, model="m", version="1", request_id="")
    proto.raw_output_contents[0] = raw
    with pytest.raises(ContractError, match=f"'a' is .* but its content of {problem}"):
        response_from_proto(proto)


def test_unknown_datatype_and_missing_content():
    proto = response_to_proto({"a": [b"a"]}, model="m", version="1", request_id="")
    proto.outputs[0].datatype = "BF17"
    with pytest.raises(ContractError, match="unknown datatype 'BF17'"):
        response_from_proto(proto)
    del proto.raw_output_contents[:]
    with pytest.raises(ContractError, match="1 tensors are described and 0 are there"):
        response_from_proto(proto)
