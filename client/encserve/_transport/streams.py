"""Requests whose model may send several responses: each over a gRPC stream of its own.

Triton can end a stream with the status of an error (metadata `triton_grpc_error`), and Triton of 2024 dies of that
(triton-inference-server/server#8708): with one request on each stream, too, after some hundred refusals of callers who
ask side by side. So it is not asked for. An error is a message on the stream then, and its status stands in its words:
those of our step begin with it.

A stream may be cancelled while responses are to come: Triton tells the model, and the model's last response ends the
request. One that has had its last response, as every error is, is left until it ends by itself: cancelled in that
moment, Triton of 2024 waits for another last response, and keeps the request, and with it the model, for as long as it
runs. An unloaded model then stays in memory, and a server that stops waits for it until its time is up.

Triton tells a model that a stream was cancelled only when the model asks, and it asks about one request after the
other. So the model is told by a message, too, behind the cancellation, which must be there before the last response.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable
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
    """The responses to one request, by `grpc`.

    Args:
        call: is read.
        errors: surrounds each read, and turns what it raises into errors of encserve.
        leave: keeps a call until it has ended.
        cancel: cancels the call, and tells the model.
        timeout_s: seconds from now until nobody waits any more. The call itself ends later, so that the server, which
            ends it by the same timeout, has done so before.
    """

    def __init__(
        self,
        call: Any,
        errors: Callable[[], AbstractContextManager[None]],
        *,
        leave: Callable[[Any], object],
        cancel: Callable[[], None],
        timeout_s: float,
    ) -> None:
        self._call = call
        self._errors = errors
        self._leave = leave
        self._cancel = cancel
        self._end_s = time.monotonic() + timeout_s
        self._is_left = False
        """Whether the call has ended, or is left until it does, or is cancelled."""

    def next(self) -> InferResponse | None:
        """Wait for the next response; None after the last. Raises EncserveError."""
        with self._errors():
            try:
                answer = next(self._call, None)
            except grpc.RpcError:
                self._is_left = True
                raise
            if answer is None:
                self._is_left = True
                return None
            is_late = time.monotonic() > self._end_s
            if (is_late or is_last(answer)) and not self._is_left:
                self._is_left = True
                self._leave(self._call)
            if is_late:
                raise TimeoutError
            return read(answer)

    def cancel(self) -> None:
        """Tell the server that nobody waits for more, unless it ends by itself now. A thread that waits ends with an
        error."""
        if not self._is_left:
            self._is_left = True
            self._cancel()


class AwaitedStream:
    """The responses to one request, by `grpc.aio`; made of what a `BlockingStream` is made of, but that `leave` takes
    something to await."""

    def __init__(
        self,
        call: Any,
        errors: Callable[[], AbstractContextManager[None]],
        *,
        leave: Callable[[Awaitable[Any]], object],
        cancel: Callable[[], None],
        timeout_s: float,
    ) -> None:
        self._call = call
        self._errors = errors
        self._leave = leave
        self._cancel = cancel
        self._end_s = time.monotonic() + timeout_s
        self._is_left = False
        """Whether the call has ended, or is left until it does, or is cancelled."""

    async def next(self) -> InferResponse | None:
        """Wait for the next response; None after the last. Raises EncserveError."""
        with self._errors():
            reading = asyncio.ensure_future(self._call.read())
            try:
                await asyncio.wait([reading], timeout=max(self._end_s - time.monotonic(), 0.0))
            except asyncio.CancelledError:
                if self._is_left or _has_the_last(reading):
                    self._is_left = True
                    self._leave(to_the_end(self._call, reading))
                elif _has_ended(reading):
                    self._is_left = True
                else:
                    reading.cancel()
                raise
            if not reading.done():
                self._is_left = True
                self._leave(to_the_end(self._call, reading))
                raise TimeoutError
            try:
                answer = reading.result()
            except grpc.RpcError:
                self._is_left = True
                raise
            if answer is grpc.aio.EOF:
                self._is_left = True
                return None
            if is_last(answer) and not self._is_left:
                self._is_left = True
                self._leave(self._call.code())
            return read(answer)

    def cancel(self) -> None:
        """Tell the server that nobody waits for more, unless it ends by itself now."""
        if not self._is_left:
            self._is_left = True
            self._cancel()


async def to_the_end(call: Any, reading: Awaitable[Any]) -> None:
    """Read what is left of a call of `grpc.aio`, of which a message is being read: it is cancelled where nobody holds
    it."""
    while await reading is not grpc.aio.EOF:
        reading = call.read()


def _has_the_last(reading: asyncio.Future[Any]) -> bool:
    """Whether the last message was read in the moment in which its reader is cancelled."""
    if not reading.done() or reading.cancelled() or reading.exception():
        return False
    answer = reading.result()
    return answer is not grpc.aio.EOF and is_last(answer)


def _has_ended(reading: asyncio.Future[Any]) -> bool:
    """Whether the call ended in the moment in which its reader is cancelled."""
    if not reading.done() or reading.cancelled():
        return False
    return reading.exception() is not None or reading.result() is grpc.aio.EOF


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
