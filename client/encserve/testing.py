"""Transports without a server, for the tests of programs that use encserve.

A fake takes a function from a request to the tensors of its answer:

    import numpy as np
    from encserve import Client
    from encserve.testing import FakeTransport

    def answer(request):
        n = len(request.inputs["text"])
        return {
            "embedding": np.ones((1, n, 3), np.float32),
            "token_count": np.full((1, n), 5, np.int32),
            "dropped_count": np.zeros((1, n), np.int32),
        }

    with Client(transport=FakeTransport(answer)) as client:
        assert client.embed(["a text"], model="fake").vectors.shape == (1, 3)

The function may raise any `EncserveError`, to see how the program bears it. For a stream, as of `generate_stream`, it
may return a list: the tensors of each response. Requests and answers go through the
protobufs of the real transports, so that a test sees what a server would.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from encserve._errors import ModelNotFound, TransportError
from encserve._messages import InferRequest, InferResponse, ServedModel, Tensor
from encserve._pipeline import SERVED_VERSION_KEY, PipelineInfo
from encserve._transport.seam import AsyncResponseStream, ResponseStream
from encserve._transport.wire import request_from_proto, request_to_proto, response_from_proto, response_to_proto

__all__ = ["AsyncFakeTransport", "FakeTransport", "InferRequest", "fake_pipeline"]

Tensors: TypeAlias = Mapping[str, Tensor]
Answer: TypeAlias = Callable[[InferRequest], Tensors | Sequence[Tensors]]
AsyncAnswer: TypeAlias = Callable[[InferRequest], Tensors | Sequence[Tensors] | Awaitable[Tensors | Sequence[Tensors]]]

_STEP = "_generate"
"""How the model is called that is asked for a stream, after the name of its pipeline."""

FAKE_PIPELINE = PipelineInfo(
    name="fake",
    version="1",
    task="feature-extraction",
    precision="fp32",
    engine="python",
    dimensions=3,
    max_length=256,
    max_texts_per_request=64,
    max_tokens_per_request=16_384,
    max_bytes_per_text=65_536,
    prompt_names=(),
    option_defaults={},
    certificate="0" * 64,
)


def fake_pipeline(**changes: Any) -> PipelineInfo:
    """A pipeline named "fake" with vectors of 3 numbers; `changes` are fields of `PipelineInfo`."""
    return replace(FAKE_PIPELINE, **changes)


class _Fake:
    """What the two fakes share: the pipelines that they seem to serve."""

    def __init__(self, pipelines: Sequence[PipelineInfo]) -> None:
        self._served = {pipeline.name: pipeline for pipeline in pipelines}
        self._closed = False
        self.given_up: list[InferRequest] = []
        """Requests whose callers went away before they had the answer."""

    def give_up(self, request: InferRequest) -> None:
        """Note it in `given_up`."""
        self.given_up.append(request)

    def _pipeline(self, model: str, version: str) -> PipelineInfo:
        if self._closed:
            raise TransportError("the client of the fake transport is closed")
        pipeline = self._served.get(model) or self._served.get(model.removesuffix(_STEP))
        if pipeline is None or version not in ("", pipeline.version):
            raise ModelNotFound("the fake transport has no such model", model=model, version=version)
        return pipeline

    def _parameters(self, model: str, version: str) -> Mapping[str, str]:
        pipeline = self._pipeline(model, version)
        return {SERVED_VERSION_KEY: pipeline.version, **pipeline.to_parameters()}

    def _received(self, request: InferRequest) -> InferRequest:
        self._pipeline(request.model, request.model_version)
        return request_from_proto(request_to_proto(request))

    def _responses(
        self, request: InferRequest, answer: Tensors | Sequence[Tensors]
    ) -> tuple[list[InferResponse], Callable[[], None]]:
        """The responses to a request, and what to do where somebody wants no more of them."""
        responses = [answer] if isinstance(answer, Mapping) else answer
        return [self._response(request, tensors) for tensors in responses], partial(self.give_up, request)

    def _response(self, request: InferRequest, tensors: Tensors | Sequence[Tensors]) -> InferResponse:
        if not isinstance(tensors, Mapping):
            raise TypeError("the function has several responses to a request that has one")
        version = self._pipeline(request.model, request.model_version).version
        proto = response_to_proto(tensors, model=request.model, version=version, request_id=request.request_id)
        return response_from_proto(proto)

    def _models(self) -> list[ServedModel]:
        return [ServedModel(name=p.name, version=p.version, state="READY") for p in self._served.values()]


class _Responses:
    """What is left of the responses to one request."""

    def __init__(self, responses: Sequence[InferResponse], give_up: Callable[[], None]) -> None:
        self._left = list(responses)
        self._give_up = give_up

    def take(self) -> InferResponse | None:
        return self._left.pop(0) if self._left else None

    def cancel(self) -> None:
        if self._left:
            self._left = []
            self._give_up()


class _FakeStream(_Responses):
    def next(self) -> InferResponse | None:
        return self.take()


class _AsyncFakeStream(_Responses):
    async def next(self) -> InferResponse | None:
        return self.take()


class FakeTransport(_Fake):
    """A `Transport` whose answers come from a function.

    Args:
        function: a request -> its output tensors, by name. Called from several threads at once.
        pipelines: what the fake server serves.
    """

    def __init__(self, function: Answer, *, pipelines: Sequence[PipelineInfo] = (FAKE_PIPELINE,)) -> None:
        super().__init__(pipelines)
        self._function = function

    def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """The function's answer."""
        return self._response(request, self._function(self._received(request)))

    def stream(self, request: InferRequest, *, timeout_s: float) -> ResponseStream:
        """The function's responses, one after the other."""
        return _FakeStream(*self._responses(request, self._function(self._received(request))))

    def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The parameters of one of `pipelines`."""
        return self._parameters(model, version)

    def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """Name and version of each of `pipelines`."""
        return self._models()

    def close(self) -> None:
        """Refuse all further requests, as a closed channel does."""
        self._closed = True


class AsyncFakeTransport(_Fake):
    """An `AsyncTransport` whose answers come from a function.

    Args:
        function: a request -> its output tensors, by name; it may be a coroutine function.
        pipelines: what the fake server serves.
    """

    def __init__(self, function: AsyncAnswer, *, pipelines: Sequence[PipelineInfo] = (FAKE_PIPELINE,)) -> None:
        super().__init__(pipelines)
        self._function = function

    async def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """The function's answer."""
        tensors = self._function(self._received(request))
        return self._response(request, await tensors if inspect.isawaitable(tensors) else tensors)

    async def stream(self, request: InferRequest, *, timeout_s: float) -> AsyncResponseStream:
        """The function's responses, one after the other."""
        answer = self._function(self._received(request))
        return _AsyncFakeStream(*self._responses(request, await answer if inspect.isawaitable(answer) else answer))

    async def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The parameters of one of `pipelines`."""
        return self._parameters(model, version)

    async def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """Name and version of each of `pipelines`."""
        return self._models()

    async def close(self) -> None:
        """Refuse all further requests, as a closed channel does."""
        self._closed = True
