"""Requests whose model may send several responses: each over a gRPC stream of its own.

Triton can end a stream with the status of an error (metadata `triton_grpc_error`), and Triton of 2024 dies of that
(triton-inference-server/server#8708): with one request on each stream, too, after some hundred refusals of callers who
ask side by side. So it is not asked for. An error is a message on the stream then, and its status stands in its words:
those of our step begin with it. Unlike a call of one response (see `leaving`), a stream bears to be cancelled in any
moment, and Triton tells the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import grpc

from encserve._errors import ContractError
from encserve._messages import InferRequest, InferResponse
from encserve._transport.wire import request_to_proto, response_from_proto

STATED = re.compile(r"(?:in ensemble '[^']*', )?(INVALID_ARGUMENT|UNAVAILABLE|CANCELLED|INTERNAL): (.*)", re.DOTALL)
"""How an error of our step begins: with its status."""

UNKNOWN_MODEL = "Request for unknown model"
"""How Triton begins to say that it does not serve a model."""


class StreamFailure(grpc.RpcError):  # type: ignore[misc]
    """An error that came as a message, in the form of one that ended the call."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        stated = STATED.fullmatch(message)
        status = stated[1] if stated else "NOT_FOUND" if message.startswith(UNKNOWN_MODEL) else "INTERNAL"
        self._status, self._details = grpc.StatusCode[status], stated[2] if stated else message

    def code(self) -> grpc.StatusCode:
        """What kind of error it is."""
        return self._status

    def details(self) -> str:
        """What it says beside that."""
        return self._details

    def trailing_metadata(self) -> tuple[()]:
        """Nothing comes beside a message."""
        return ()


def messages(request: InferRequest, *, timeout_s: float | None = None) -> Iterable[Any]:
    """All that is sent over the stream of a request."""
    return iter((request_to_proto(request, timeout_s=timeout_s),))


class BlockingStream:
    """The responses to one request, by `grpc`."""

    def __init__(self, call: Any, errors: Callable[[], AbstractContextManager[None]]) -> None:
        """Read `call`; `errors` surrounds each read, and turns what it raises into errors of encserve."""
        self._call = call
        self._errors = errors

    def next(self) -> InferResponse | None:
        """Wait for the next response; None after the last. Raises EncserveError."""
        with self._errors():
            answer = next(self._call, None)
            return None if answer is None else read(answer)

    def cancel(self) -> None:
        """Tell the server that nobody waits for more. A thread that does ends with an error."""
        self._call.cancel()


class AwaitedStream:
    """The responses to one request, by `grpc.aio`."""

    def __init__(self, call: Any, errors: Callable[[], AbstractContextManager[None]]) -> None:
        """As `BlockingStream`."""
        self._call = call
        self._errors = errors

    async def next(self) -> InferResponse | None:
        """Wait for the next response; None after the last. Raises EncserveError."""
        with self._errors():
            answer = await self._call.read()
            return None if answer is grpc.aio.EOF else read(answer)

    def cancel(self) -> None:
        """Tell the server that nobody waits for more."""
        self._call.cancel()


def read(answer: Any) -> InferResponse:
    """The response in a message of a stream. Raises StreamFailure: it is an error."""
    if answer.error_message:
        raise StreamFailure(answer.error_message)
    return response_from_proto(answer.infer_response)


def only(response: InferResponse | None, further: InferResponse | None, request: InferRequest) -> InferResponse:
    """The response of a stream that has one. Raises ContractError: it has none, or a `further` one."""
    if response is None or further is not None:
        how_many = "no response" if response is None else "several responses"
        raise ContractError(
            f"the server sent {how_many} where one is promised", model=request.model, request_id=request.request_id
        )
    return response
