"""What `AsyncClient` does about the network: `Connection` with `await`."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

from encserve._call import Call
from encserve._coalesce import Coalescer, max_delay_of
from encserve._connection import Connection
from encserve._grpc import AsyncGrpcTransport
from encserve._messages import InferRequest
from encserve._pipeline import PipelineInfo, is_pipeline
from encserve._results import Part
from encserve._retry import Retry, Schedule, attempt_async
from encserve._settings import DEFAULT_URL, Settings
from encserve._split import Chunk
from encserve._tls import Tls
from encserve._transport import AsyncTransport
from encserve._window import in_order_async

T = TypeVar("T")
Method = TypeVar("Method", bound=Callable[..., Any])


def documented_by(source: Callable[..., Any]) -> Callable[[Method], Method]:
    """Give a method the docstring of its twin."""

    def document(method: Method) -> Method:
        method.__doc__ = source.__doc__
        return method

    return document


class AsyncConnection:
    """The requests of a client: pipelined, retried, and each version of a pipeline asked once what it is."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        timeout_s: float = 30.0,
        retry: Retry = Retry(),  # noqa: B008 - it is frozen
        concurrency: int = 4,
        texts_per_request: int = 64,
        tls: Tls | None = None,
        api_key: str | None = None,
        admin_secret: str | None = None,
        coalesce: bool | float = True,
        transport: AsyncTransport | None = None,
    ) -> None:
        self._settings = Settings(
            timeout_s=timeout_s, retry=retry, concurrency=concurrency, texts_per_request=texts_per_request
        )
        if transport is None:
            transport = AsyncGrpcTransport(url, tls=tls, api_key=api_key, admin_secret=admin_secret)
        self._transport = transport
        self._pipelines: dict[tuple[str, str], PipelineInfo] = {}
        self._under_way: set[InferRequest] = set()
        max_delay_s = max_delay_of(coalesce)
        self._coalescer = (
            None if max_delay_s is None else Coalescer(self._send, self._settings, max_delay_s=max_delay_s)
        )

    @documented_by(Connection.models)
    async def models(self, *, timeout_s: float | None = None) -> list[PipelineInfo]:
        timeout_s = self._settings.timeout_or_default(timeout_s)
        pipelines = []
        for model in await self._retried(lambda left_s: self._transport.pipelines(timeout_s=left_s), timeout_s):
            parameters = await self._parameters(model.name, model.version, timeout_s)
            if is_pipeline(parameters):
                pipelines.append(PipelineInfo.from_parameters(model.name, parameters, version=model.version))
        return pipelines

    @documented_by(Connection.close)
    async def close(self) -> None:
        for request in self._under_way:
            self._transport.give_up(request)
        await self._transport.close()

    async def _whole(self, call: Call[Part]) -> Part:
        gathered = call.gather()
        async with aclosing(self._parts(call)) as parts:
            async for part in parts:
                gathered.put(part)
        return gathered.whole or call.nothing(await self._pipeline(call.model, "", call.timeout_s))

    async def _parts(self, call: Call[Part]) -> AsyncGenerator[Part, None]:
        pipeline = await self._pipeline(call.model, "", call.timeout_s)
        chunks = call.chunks(pipeline, texts_per_request=self._settings.texts_per_request)
        ask = partial(self._part, call, pipeline=pipeline)
        parts = in_order_async(ask, chunks, concurrency=self._settings.concurrency)
        with call.tally() as tally:
            async with aclosing(parts):
                async for part in parts:
                    tally.add(part)
                    yield part

    async def _part(self, call: Call[Part], chunk: Chunk, *, pipeline: PipelineInfo) -> Part:
        if self._coalescer is None:
            return await self._send(call, chunk, self._settings.schedule(call.timeout_s))
        return await self._coalescer.part(call, chunk, pipeline)

    async def _send(self, call: Call[Part], chunk: Chunk, schedule: Schedule) -> Part:
        request = call.request(chunk)
        self._under_way.add(request)
        try:
            response = await attempt_async(lambda left_s: self._transport.infer(request, timeout_s=left_s), schedule)
        except asyncio.CancelledError:
            self._transport.give_up(request)
            raise
        finally:
            self._under_way.discard(request)
        return call.part(response, chunk, await self._pipeline(call.model, response.version, call.timeout_s))

    async def _pipeline(self, model: str, version: str, timeout_s: float) -> PipelineInfo:
        """What the pipeline says of itself, asked once per version. An empty version is the one last heard of."""
        pipeline = self._pipelines.get((model, version))
        if pipeline is None:
            parameters = await self._parameters(model, version, timeout_s)
            pipeline = PipelineInfo.from_parameters(model, parameters, version=version)
            self._pipelines[model, version] = self._pipelines[model, ""] = pipeline
        return pipeline

    async def _parameters(self, model: str, version: str, timeout_s: float) -> Mapping[str, str]:
        return await self._retried(
            lambda left_s: self._transport.pipeline_config(model, version=version, timeout_s=left_s), timeout_s
        )

    async def _retried(self, call: Callable[[float], Awaitable[T]], timeout_s: float) -> T:
        return await attempt_async(call, self._settings.schedule(timeout_s))
