"""Triton responses, in the two forms that a step gives: tensors, or an error that fails one request alone."""

from __future__ import annotations

from typing import Any

import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from .options import InvalidArgument


def reply(**tensors: NDArray[Any]) -> Any:
    """A response with the given output tensors."""
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, value) for name, value in tensors.items()])


def invalid(error: InvalidArgument) -> Any:
    """INVALID_ARGUMENT: the caller's mistake."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG))


def failed(message: str) -> Any:
    """INTERNAL: ours."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.INTERNAL))


def unavailable(message: str) -> Any:
    """UNAVAILABLE: not now, try again later."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.UNAVAILABLE))


def cancelled(message: str) -> Any:
    """CANCELLED: its caller does not want it any more."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.CANCELLED))
