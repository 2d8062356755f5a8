"""What the failures of gRPC mean, by the statuses and the words of Triton."""

from __future__ import annotations

import re
from typing import Any

import grpc

from encserve._errors import (
    AccessDenied,
    DeadlineExceeded,
    EncserveError,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    Overloaded,
    RateLimited,
    Unavailable,
)

ERRORS: dict[grpc.StatusCode, type[EncserveError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.NOT_FOUND: ModelNotFound,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Unavailable,  # the server closes, unless the request was given up; see `OverGrpc`
    grpc.StatusCode.UNAUTHENTICATED: AccessDenied,
    grpc.StatusCode.PERMISSION_DENIED: AccessDenied,
}
"""gRPC status -> the error it becomes; `InferenceFailed` for all others."""

RESTRICTED = "This protocol is restricted"
"""How Triton begins its refusal of a caller that did not send the secret. The status is that of a server that is down:
UNAVAILABLE."""

DEAD_PROCESS = re.compile(r"Stub process '[^']*' is not healthy")
"""How Triton says that a process of the Python backend has died. Supervision starts the server again."""

UNLOADED = re.compile(r"Request for unknown model: '[^']*' has no available versions")
"""How Triton says, with NOT_FOUND, that it knows a model and does not serve it now, as while its server closes."""

NOT_READY = re.compile(r"Request for unknown model: '[^']*' version \d+ is not at ready state")
"""How Triton says, with UNAVAILABLE, that it does not serve this version now, as after a promotion."""

NAMED_TEXTS = re.compile(r"for texts \[([\d, ]+)\] of this request")
"""How the encode step names the texts at which the network failed."""


def error_of(failure: Any, *, shown: str, with_key: bool, **about: Any) -> EncserveError:
    """The error of encserve that a `grpc.RpcError` becomes.

    Args:
        failure: of gRPC.
        shown: the addresses, as an error names them.
        with_key: whether an API key was sent.
        about: what was asked, in fields of an error.
    """
    details = failure.details() or ""
    message = _message(failure.code(), details or "no reason given", shown=shown, with_key=with_key)
    error = _kind(failure, details)(message, **about, status=failure.code().name)
    if isinstance(error, RateLimited):
        error.retry_after_s = _retry_after_s(failure)
    if isinstance(error, InferenceFailed) and (named := NAMED_TEXTS.search(details)):
        error.texts = tuple(int(text) for text in named[1].split(","))
    return error


def _kind(failure: Any, details: str) -> type[EncserveError]:
    if details.startswith(RESTRICTED):  # no status tells it from a server that is down
        return AccessDenied
    if DEAD_PROCESS.search(details):  # INTERNAL, as for what no other attempt would help
        return Unavailable
    if UNLOADED.search(details):
        return Unavailable
    if NOT_READY.search(details):
        return ModelNotFound
    if failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and _retry_after_s(failure) is not None:
        return RateLimited
    return ERRORS.get(failure.code(), InferenceFailed)


def _message(status: grpc.StatusCode, details: str, *, shown: str, with_key: bool) -> str:
    if details.startswith(RESTRICTED):
        return (
            f"{shown} does this for operators only ({details}): give `admin_secret=`, "
            "or ENCSERVE_ADMIN_SECRET to a command"
        )
    match status:
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            known = "the API key that was sent is not valid there"
            hint = known if with_key else "give `api_key=`, or ENCSERVE_API_KEY to a command"
            return f"{shown} refused: {details} ({hint})"
        case grpc.StatusCode.UNAVAILABLE if not NOT_READY.search(details):
            return f"{shown} is down: {details} (`encserve serve` starts a local server)"
        case grpc.StatusCode.CANCELLED:
            return f"{shown} ended the request: {details}"
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"{shown} gave no answer in time: {details}"
        case _:
            return details


def _retry_after_s(failure: Any) -> float | None:
    """The seconds after which a gateway wants to be asked again; None where it does not say."""
    for name, value in failure.trailing_metadata() or ():
        if name == "retry-after" and value.isdecimal():  # it may also be a date, which no gateway of ours sends
            return float(value)
    return None
