"""Triton responses, in the two forms that a step gives: tensors, or an error that fails one request alone."""

from __future__ import annotations

from typing import Any

import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from .options import InvalidArgument

_STATUSES = {"INVALID_ARG": "INVALID_ARGUMENT", "UNAVAILABLE": "UNAVAILABLE", "CANCELLED": "CANCELLED"}
"""Triton's name for the code of an error -> its status."""


def reply(**tensors: NDArray[Any]) -> Any:
    """Return a response with the given output tensors."""
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, value) for name, value in tensors.items()])


def invalid(error: InvalidArgument) -> Any:
    """Return the response INVALID_ARGUMENT, for a mistake of the caller."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG))


def failed(message: str) -> Any:
    """Return the response INTERNAL, for a fault of ours."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.INTERNAL))


def unavailable(message: str) -> Any:
    """Return the response UNAVAILABLE, for a request that may be tried again later."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.UNAVAILABLE))


def error_kind(response: Any) -> str:
    """Return the kind of a response's error, in the words of its status; empty where it has none."""
    if not response.has_error():
        return ""
    kinds = {getattr(pb_utils.TritonError, name): status for name, status in _STATUSES.items()}
    return kinds.get(response.error().code(), "INTERNAL")


def cancelled(message: str) -> Any:
    """Return the response CANCELLED, for a request whose caller does not want it any more."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.CANCELLED))
