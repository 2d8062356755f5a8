"""Messages to and from the protobufs of the KServe V2 protocol. Pure functions: no I/O, no clock.

The tensors travel as raw bytes beside their descriptions, little-endian, in the order of the descriptions. Each element
of a BYTES tensor is led by its length in four bytes.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2
from tritonclient.utils import deserialize_bytes_tensor, np_to_triton_dtype, triton_to_np_dtype

from encserve._errors import ContractError, InvalidInput
from encserve._messages import BYTES_DTYPE, InferRequest, InferResponse, Parameter, Tensor


def request_to_proto(request: InferRequest, *, timeout_s: float | None = None) -> Any:
    """The `ModelInferRequest` of a request; `timeout_s` tells the server how long its answer is waited for."""
    proto = service_pb2.ModelInferRequest(
        model_name=request.model, model_version=request.model_version, id=request.request_id
    )
    if timeout_s is not None:
        proto.parameters["timeout"].int64_param = max(1, int(timeout_s * 1e6))
    for name, value in request.parameters.items():
        _set_parameter(proto.parameters[name], value)
    for name, tensor in request.inputs.items():
        datatype, shape, raw = _encode(name, tensor)
        proto.inputs.add(name=name, datatype=datatype, shape=shape)
        proto.raw_input_contents.append(raw)
    for name in request.outputs:
        proto.outputs.add(name=name)
    return proto


def request_from_proto(proto: Any) -> InferRequest:
    """The request in a `ModelInferRequest`, as a server reads it.

    Raises:
        ContractError: a tensor's bytes do not match its shape and datatype.
    """
    tensors = _decode_all(proto.inputs, proto.raw_input_contents, model=proto.model_name)
    return InferRequest(
        model=proto.model_name,
        inputs={
            name: array.ravel().tolist() if array.dtype == BYTES_DTYPE else array for name, array in tensors.items()
        },
        outputs=tuple(output.name for output in proto.outputs),
        parameters=_parameters(proto.parameters),
        request_id=proto.id,
        model_version=proto.model_version,
    )


def response_to_proto(tensors: Mapping[str, Tensor], *, model: str, version: str, request_id: str) -> Any:
    """The `ModelInferResponse` that a server would send."""
    proto = service_pb2.ModelInferResponse(model_name=model, model_version=version, id=request_id)
    for name, tensor in tensors.items():
        datatype, shape, raw = _encode(name, tensor)
        proto.outputs.add(name=name, datatype=datatype, shape=shape)
        proto.raw_output_contents.append(raw)
    return proto


def response_from_proto(proto: Any) -> InferResponse:
    """The answer in a `ModelInferResponse`.

    Raises:
        ContractError: a tensor's bytes do not match its shape and datatype.
    """
    return InferResponse(
        model=proto.model_name,
        version=proto.model_version,
        tensors=_decode_all(proto.outputs, proto.raw_output_contents, model=proto.model_name),
        parameters=_parameters(proto.parameters),
        request_id=proto.id,
    )


def _encode(name: str, tensor: Tensor) -> tuple[str, list[int], bytes]:
    if isinstance(tensor, list):
        return "BYTES", [1, len(tensor)], _join(tensor)
    datatype = np_to_triton_dtype(tensor.dtype.newbyteorder("="))
    if datatype is None:
        raise InvalidInput(f"tensor {name!r} has dtype {tensor.dtype}, which the protocol cannot carry")
    raw = _join(tensor.ravel()) if datatype == "BYTES" else tensor.astype(_as_sent(tensor.dtype), copy=False).tobytes()
    return datatype, list(tensor.shape), raw


@cache
def _as_sent(dtype: Any) -> np.dtype[Any]:
    return np.dtype(dtype).newbyteorder("<")


def _join(elements: Iterable[bytes]) -> bytes:
    return b"".join([part for element in elements for part in (len(element).to_bytes(4, "little"), element)])


def _decode_all(descriptions: Sequence[Any], raws: Sequence[bytes], *, model: str) -> dict[str, NDArray[Any]]:
    if len(descriptions) != len(raws):
        raise ContractError(f"{len(descriptions)} tensors are described and {len(raws)} are there", model=model)
    return {tensor.name: _decode(tensor, raw, model=model) for tensor, raw in zip(descriptions, raws, strict=True)}


def _decode(tensor: Any, raw: bytes, *, model: str) -> NDArray[Any]:
    dtype = triton_to_np_dtype(tensor.datatype)
    if dtype is None:
        raise ContractError(f"tensor {tensor.name!r} has the unknown datatype {tensor.datatype!r}", model=model)
    try:
        array = deserialize_bytes_tensor(raw) if dtype is np.object_ else np.frombuffer(raw, _as_sent(dtype)).copy()
        return array.reshape(tuple(tensor.shape))
    except (ValueError, struct.error) as error:
        described = f"tensor {tensor.name!r} is {tensor.datatype} of shape {list(tensor.shape)}"
        raise ContractError(f"{described}, but its content of {len(raw)} bytes is not: {error}", model=model) from error


def _set_parameter(proto: Any, value: Parameter) -> None:
    if isinstance(value, bool):  # before int, which bool is too
        proto.bool_param = value
    elif isinstance(value, int):
        proto.int64_param = value
    else:
        proto.string_param = value


def _parameters(protos: Mapping[str, Any]) -> dict[str, Parameter]:
    return {name: getattr(proto, proto.WhichOneof("parameter_choice")) for name, proto in protos.items()}
