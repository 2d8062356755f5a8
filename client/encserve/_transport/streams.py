"""Requests whose model may send several responses: each over a gRPC stream of its own.

Triton can end a stream with the status of an error (metadata `triton_grpc_error`), and Triton of 2024 dies of that
(triton-inference-server/server#8708): with one request on each stream, too, after some hundred refusals of callers who
ask side by side. So it is not asked for. An error is a message on the stream then, and its status stands in its words:
those of our step begin with it.

A stream may be cancelled while responses are to come: Triton tells the model, and the model's last response ends the
request. One that has had its last response, as every error is, is left until it ends by itself: cancelled in that
moment, Triton of 2024 waits for another last response, and keeps the request, and with it the model, for as long as it
runs. An unloaded model then stays in memory, and a server that stops waits for it until its time is up.
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

FINAL = "triton_final_response"
"""The parameter by which Triton says of a response whether it is the last."""

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

    def __init__(
        self, call: Any, errors: Callable[[], AbstractContextManager[None]], leave: Callable[[Any], object]
    ) -> None:
        """Read `call`; `errors` surrounds each read, and turns what it raises into errors of encserve; `leave` keeps a
        call that had its last response until it has ended."""
        self._call = call
        self._errors = errors
        self._leave = leave
        self._had_last = False

    def next(self) -> InferResponse | None:
        """Wait for the next response; None after the last. Raises EncserveError."""
        with self._errors():
            answer = next(self._call, None)
            if answer is not None and is_last(answer) and not self._had_last:
                self._had_last = True
                self._leave(self._call)
            return None if answer is None else read(answer)

    def cancel(self) -> None:
        """Tell the server that nobody waits for more, unless it had nothing more to send. A thread that waits ends with
        an error."""
        if not self._had_last:
            self._call.cancel()


class AwaitedStream:
    """The responses to one request, by `grpc.aio`."""

    def __init__(
        self, call: Any, errors: Callable[[], AbstractContextManager[None]], leave: Callable[[Any], object]
    ) -> None:
        """As `BlockingStream`."""
        self._call = call
        self._errors = errors
        self._leave = leave
        self._had_last = False

    async def next(self) -> InferResponse | None:
        """Wait for the next response; None after the last. Raises EncserveError."""
        with self._errors():
            answer = await self._call.read()
            if answer is not grpc.aio.EOF and is_last(answer) and not self._had_last:
                self._had_last = True
                self._leave(self._call)
            return None if answer is grpc.aio.EOF else read(answer)

    def cancel(self) -> None:
        """Tell the server that nobody waits for more, unless it had nothing more to send."""
        if not self._had_last:
            self._call.cancel()


def is_last(answer: Any) -> bool:
    """Whether a message of a stream is the last: an error, or what Triton says is."""
    told = answer.infer_response.parameters
    return bool(answer.error_message) or (FINAL in told and told[FINAL].bool_param)


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
