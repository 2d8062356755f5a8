"""Streams of responses: errors that come as messages, and how a stream is left."""

import asyncio
import gc
import threading
import time
import weakref
from contextlib import nullcontext, suppress
from dataclasses import replace

import grpc
import pytest
from tritonclient.grpc import service_pb2

from encserve import ContractError, DeadlineExceeded, EncserveError, InferRequest, InferResponse
from encserve._transport.awaiting import AsyncGrpcTransport
from encserve._transport.blocking import GrpcTransport
from encserve._transport.streams import AwaitedStream, StreamFailure, only, read

from .playing_triton import Triton, playing

REQUEST = InferRequest(model="fake", inputs={}, outputs=())
RESPONSE = InferResponse(model="fake", version="1", tensors={})


@pytest.mark.parametrize(
    ("message", "status", "details"),
    [
        ("INVALID_ARGUMENT: option a is 1: no", "INVALID_ARGUMENT", "option a is 1: no"),
        ("in ensemble 't5', UNAVAILABLE: 5 texts wait\nand more", "UNAVAILABLE", "5 texts wait\nand more"),
        ("CANCELLED: request x is given up", "CANCELLED", "request x is given up"),
        ("INTERNAL: t5_generate failed", "INTERNAL", "t5_generate failed"),
        (
            "Request for unknown model: 't5' version 3 is not at ready state",
            "NOT_FOUND",
            "Request for unknown model: 't5' version 3 is not at ready state",
        ),
        ("a text with UNAVAILABLE: in it", "INTERNAL", "a text with UNAVAILABLE: in it"),
    ],
)
def test_the_status_stands_in_the_words(message, status, details):
    with pytest.raises(StreamFailure) as failure:
        read(service_pb2.ModelStreamInferResponse(error_message=message))
    assert (failure.value.code(), failure.value.details()) == (grpc.StatusCode[status], details)


def test_one_response_is_promised():
    assert only(RESPONSE, None, REQUEST) is RESPONSE
    for responses, complaint in (((None, None), "no response"), ((RESPONSE, RESPONSE), "several responses")):
        with pytest.raises(ContractError, match=f"sent {complaint} where one is promised"):
            only(*responses, REQUEST)


class Streaming(Triton):
    """Sends one message over each stream, and ends it a while later, as Triton does."""

    def __init__(self, message, *, after_s=0.0):
        super().__init__()
        self.message, self.after_s = message, after_s
        self.ended, self.was_left, self.told = threading.Event(), False, []

    def ModelStreamInfer(self, requests, context):
        parameters = next(requests).parameters
        if "cancel" in parameters:
            self.told.append(parameters["cancel"].string_param)
            yield service_pb2.ModelStreamInferResponse(error_message="CANCELLED: it is given up")
            return
        context.add_callback(self.ended.set)
        time.sleep(self.after_s)
        yield self.message
        until_s = time.monotonic() + 0.2
        while context.is_active() and time.monotonic() < until_s:
            time.sleep(0.001)
        self.was_left = context.is_active()


def response(**parameters):
    answered = service_pb2.ModelInferResponse(model_name="fake", model_version="1")
    for name, value in parameters.items():
        answered.parameters[name].bool_param = value
    return service_pb2.ModelStreamInferResponse(infer_response=answered)


def leave_blocking(url, *, whole, timeout_s=20, error=EncserveError):
    transport = GrpcTransport(url)
    with suppress(EncserveError) if error is EncserveError else pytest.raises(error):
        if whole:
            transport.infer(DECOUPLED, timeout_s=timeout_s)
        else:
            stream = transport.stream(DECOUPLED, timeout_s=timeout_s)
            try:
                stream.next()
            finally:
                stream.cancel()
                del stream
    return transport.close


def leave_awaiting(url, *, whole, timeout_s=20, error=EncserveError):
    async def leave():
        transport = AsyncGrpcTransport(url)
        with suppress(EncserveError) if error is EncserveError else pytest.raises(error):
            if whole:
                await transport.infer(DECOUPLED, timeout_s=timeout_s)
            else:
                stream = await transport.stream(DECOUPLED, timeout_s=timeout_s)
                try:
                    await stream.next()
                finally:
                    stream.cancel()
                    del stream
        await asyncio.sleep(0.5)
        await transport.close()

    asyncio.run(leave())
    return lambda: None


DECOUPLED = InferRequest(model="fake", inputs={}, outputs=(), decoupled=True, request_id="mine")
REFUSAL = service_pb2.ModelStreamInferResponse(error_message="INVALID_ARGUMENT: no")


@pytest.mark.parametrize("leave", [leave_blocking, leave_awaiting])
@pytest.mark.parametrize(
    ("message", "whole", "is_cancelled"),
    [
        (REFUSAL, False, False),
        (REFUSAL, True, False),
        (response(triton_final_response=True), False, False),
        (response(triton_final_response=False), False, True),
        (response(), False, True),
    ],
    ids=["refused", "refused whole", "the last", "not the last", "unknown"],
)
def test_a_stream_that_had_its_last_response_is_left_and_not_cancelled(leave, message, whole, is_cancelled):
    triton = Streaming(message)
    with playing(triton) as url:
        close = leave(url, whole=whole)
        assert triton.ended.wait(20)
        close()
    assert triton.was_left is not is_cancelled
    assert triton.told == ["mine"] * is_cancelled  # whom Triton tells of it only when it asks


async def test_a_call_for_the_only_response_that_is_cancelled_is_told_of_once():
    triton = Streaming(response(triton_final_response=True), after_s=0.2)
    with playing(triton) as url:
        transport, request = AsyncGrpcTransport(url), replace(DECOUPLED)
        call = asyncio.create_task(transport.infer(request, timeout_s=20))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        transport.give_up(request)  # as the client does then
        await transport.close()
    assert triton.told == ["mine"]


def test_a_stream_that_failed_is_not_given_up():
    class Fails(Streaming):
        def ModelStreamInfer(self, requests, context):
            if "cancel" in next(requests).parameters:
                self.told.append(True)
            context.abort(grpc.StatusCode.UNAVAILABLE, "no")

    triton = Fails(None)
    with playing(triton) as url:
        leave_blocking(url, whole=False)()
        leave_awaiting(url, whole=False)()
    assert not triton.told


def test_the_message_that_a_stream_is_left_is_heard_to_its_end():
    """Of which nothing is read ends at its deadline, by a cancellation."""
    triton = Streaming(response(triton_final_response=False))
    with playing(triton) as url:
        transport = GrpcTransport(url)
        stream = transport.stream(replace(DECOUPLED), timeout_s=20)
        stream.next()
        stream.cancel()
        (call,) = list(transport._messages._calls)
        assert call.code() is grpc.StatusCode.OK
        transport.close()


@pytest.mark.parametrize("ended", [grpc.aio.EOF, StreamFailure("INTERNAL: no")], ids=["whole", "failed"])
async def test_whoever_is_cancelled_as_the_stream_ends_cancels_nothing(ended):
    class Call:
        async def read(self):
            task.cancel()
            if isinstance(ended, Exception):
                raise ended
            return ended

    cancelled = []
    stream = AwaitedStream(
        Call(), nullcontext, leave=asyncio.ensure_future, cancel=lambda: cancelled.append(True), timeout_s=20
    )
    task = asyncio.create_task(stream.next())
    with pytest.raises(asyncio.CancelledError):
        await task
    stream.cancel()
    assert not cancelled


def test_nothing_is_kept_of_a_stream_that_has_ended():
    triton, request = Streaming(response(triton_final_response=True)), replace(DECOUPLED)
    with playing(triton) as url:
        transport = GrpcTransport(url)
        transport.infer(request, timeout_s=20)
        kept = weakref.ref(request)
        del request
        gc.collect()
        assert kept() is None
        transport.close()


@pytest.mark.parametrize("leave", [leave_blocking, leave_awaiting])
@pytest.mark.parametrize("whole", [False, True])
def test_a_stream_whose_time_is_up_is_left_and_not_cancelled(leave, whole):
    triton = Streaming(REFUSAL, after_s=0.2)
    with playing(triton) as url:
        close = leave(url, whole=whole, timeout_s=0.1, error=DeadlineExceeded)
        assert triton.ended.wait(20)
        close()
    assert triton.was_left


@pytest.mark.parametrize("had", [1, 0], ids=["before its end", "before its last response"])
def test_whoever_is_cancelled_after_the_last_response_leaves_the_stream(had):
    """Between the last response and the end of the stream, and before it, where a stream may be cancelled."""
    triton = Streaming(response(triton_final_response=True), after_s=0.0 if had else 0.2)

    async def ask(url):
        transport = AsyncGrpcTransport(url)
        stream = await transport.stream(DECOUPLED, timeout_s=20)
        for _ in range(had):
            await stream.next()
        reading = asyncio.create_task(stream.next())
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        stream.cancel()
        await asyncio.sleep(0.5)
        await transport.close()

    with playing(triton) as url:
        asyncio.run(ask(url))
        assert triton.ended.wait(20)
    assert triton.was_left is bool(had)


def test_whoever_is_cancelled_as_the_last_response_comes_leaves_the_stream():
    class Call:
        """Has its last message when its reader is cancelled."""

        was_cancelled = False

        async def read(self):
            return answers.pop(0)

        def cancel(self):
            self.was_cancelled = True

    async def ask():
        stream = AwaitedStream(call, nullcontext, leave=left.append, cancel=call.cancel, timeout_s=20)
        reading = asyncio.create_task(stream.next())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        stream.cancel()
        await asyncio.gather(*left)

    call, left = Call(), []
    answers = [response(triton_final_response=True), grpc.aio.EOF]
    asyncio.run(ask())
    assert not call.was_cancelled
    assert not answers
