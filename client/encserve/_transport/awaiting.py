"""The transport of `AsyncClient`: `GrpcTransport`, awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from encserve._errors import TransportError
from encserve._messages import InferRequest, InferResponse, ServedModel, giving_up
from encserve._transport import leaving
from encserve._transport.over_grpc import READY_MODELS, OverGrpc, asked_about, served_models, string_parameters
from encserve._transport.replicas import Replicas
from encserve._transport.seam import AsyncResponseStream
from encserve._transport.streams import AwaitedStream, messages, only, to_the_end
from encserve._transport.wire import request_to_proto, response_from_proto


class AsyncGrpcTransport(OverGrpc):
    """`GrpcTransport` with `await`, made of the same arguments; see `AsyncTransport`.

    The channels are made by the first request, in the event loop that runs then, and belong to that loop.
    """

    def _begin(self) -> None:
        self._opened: Replicas | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls = leaving.AsyncCalls()
        self._messages = leaving.AsyncCalls()

    async def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """Answer one request."""
        if request.decoupled:
            stream = await self.stream(request, timeout_s=timeout_s)
            try:
                return only(await stream.next(), await stream.next(), request)
            except asyncio.CancelledError:
                stream.cancel()
                raise
        proto = request_to_proto(request, timeout_s=timeout_s)
        replicas = self._replicas()
        metadata = (*self._metadata, *request.metadata)
        with replicas.asking() as replica, self._asking(replicas, replica, request):
            replicas.asked[request] = replica
            call = replica.stub.ModelInfer(proto, timeout=timeout_s + leaving.END_S, metadata=metadata)
            answer = await self._calls.result(call, timeout_s=timeout_s)
        return response_from_proto(answer)

    async def stream(self, request: InferRequest, *, timeout_s: float) -> AsyncResponseStream:
        """Begin to answer one request with several responses."""
        replicas = self._replicas()
        metadata = (*self._metadata, *request.metadata)
        with replicas.asking() as replica, self._asking(replicas, replica, request):
            replicas.asked[request] = replica
            sent = messages(request, timeout_s=timeout_s)
            call = replica.stub.ModelStreamInfer(sent, timeout=timeout_s + leaving.END_S, metadata=metadata)
        errors = partial(self._asking, replicas, replica, request)
        cancel = partial(self._cancel, request, call)
        return AwaitedStream(call, errors, leave=self._messages.add, cancel=cancel, timeout_s=timeout_s)

    def give_up(self, request: InferRequest) -> None:
        """Begin to tell the server that nobody waits for the answer to `request` any more."""
        # It is closed and has told them all, or of another event loop, or that has ended.
        with suppress(TransportError, RuntimeError):
            if (replica := self._replicas().give_up(request)) is None:
                return
            message = giving_up(request)
            if request.decoupled:
                stream = replica.stub.ModelStreamInfer(
                    messages(message), timeout=leaving.GIVE_UP_S, metadata=self._metadata
                )
                self._messages.add(to_the_end(stream, stream.read()))
            else:
                proto = request_to_proto(message)
                call = replica.stub.ModelInfer(proto, timeout=leaving.GIVE_UP_S, metadata=self._metadata)
                self._messages.add(call)

    def _cancel(self, request: InferRequest, call: Any) -> None:
        call.cancel()
        self.give_up(request)

    async def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The string parameters of a model's configuration."""
        proto = service_pb2.ModelConfigRequest(name=model, version=version)
        config = await self.ask("ModelConfig", proto, timeout_s=timeout_s)
        return string_parameters(config)

    async def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """All models that are ready."""
        return served_models(await self.ask("RepositoryIndex", READY_MODELS, timeout_s=timeout_s, operator=True))

    async def ask(self, method: str, proto: Any, *, timeout_s: float, operator: bool = False) -> Any:
        """The answer of one method of Triton's service; as an `operator`, the secret goes with the request."""
        replicas = self._replicas()
        with replicas.asking() as replica, self._asking(replicas, replica, **asked_about(proto)):
            metadata = self._metadata_for(replica, operator=operator)
            call = getattr(replica.stub, method)(proto, timeout=timeout_s, metadata=metadata)
            return await self._calls.result(call, timeout_s=timeout_s)

    async def close(self) -> None:
        """Close the channels. Requests in flight end with `TransportError`, within a second."""
        self._closed = True
        begin_s = time.monotonic()
        await self._messages.wait(begin_s + leaving.HEARD_S)
        await self._calls.wait(begin_s + leaving.ENDED_S)
        for replica in self._opened.all if self._opened else ():
            await replica.channel.close()

    def _replicas(self) -> Replicas:
        if self._closed:
            raise self._closed_error()
        if self._opened is None:
            self._opened, self._loop = self._open(grpc.aio), asyncio.get_running_loop()
        elif self._loop is not asyncio.get_running_loop():
            message = f"the client of {self._shown} belongs to another event loop; make one client per loop"
            raise TransportError(message)
        return self._opened

    def _connected(self, channel: Any) -> Callable[[], bool]:
        return lambda: channel.get_state() is grpc.ChannelConnectivity.READY
