"""One question to a model and its answer, free of protobuf: what a transport carries."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Tensor: TypeAlias = NDArray[Any] | list[bytes]
"""An array, or the n elements of a BYTES tensor of shape [1, n]."""

Parameter: TypeAlias = str | int | bool
"""The value of a Triton request or response parameter."""


@dataclass(frozen=True, kw_only=True, eq=False)
class InferRequest:
    """One inference request."""

    model: str
    inputs: Mapping[str, Tensor]
    """Input name -> tensor."""
    outputs: tuple[str, ...]
    """Names of the outputs that the answer shall carry."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    """Options of the request. The server has a default for each, so only those that differ are sent."""
    request_id: str = ""
    model_version: str = ""
    """Empty: the version that the server chooses, by default the newest."""
    metadata: tuple[tuple[str, str], ...] = ()
    """What travels beside the message, such as `traceparent`: names in lower case, and values."""
    decoupled: bool = False
    """Whether the model may send any number of responses: it is asked over a stream of its own then."""


def giving_up(request: InferRequest) -> InferRequest:
    """The message that nobody waits any more for the answer to `request`. Its own answer is an error."""
    return replace(
        request,
        inputs={name: [b""] for name in request.inputs},
        parameters={**request.parameters, "cancel": request.request_id},
        request_id="",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class InferResponse:
    """The answer to one inference request."""

    model: str
    version: str
    """The version that answered."""
    tensors: Mapping[str, NDArray[Any]]
    """Output name -> array; BYTES tensors are arrays of `bytes` objects."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    request_id: str = ""


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """One version of a model that the server is ready to serve, a pipeline or a step of one."""

    name: str
    version: str
    state: str
    """Triton's word for it: "READY"."""


BYTES_DTYPE = np.dtype(np.object_)
"""How a BYTES tensor appears in numpy: an array of `bytes` objects."""
