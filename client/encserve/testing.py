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

The function may raise any `EncserveError`, to see how the program bears it. Requests and answers go through the
protobufs of the real transports, so that a test sees what a server would.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from encserve._errors import ModelNotFound, TransportError
from encserve._messages import InferRequest, InferResponse, ServedModel, Tensor
from encserve._pipeline import SERVED_VERSION_KEY, PipelineInfo
from encserve._transport.wire import request_from_proto, request_to_proto, response_from_proto, response_to_proto

__all__ = ["AsyncFakeTransport", "FakeTransport", "InferRequest", "fake_pipeline"]

Answer: TypeAlias = Callable[[InferRequest], Mapping[str, Tensor]]
AsyncAnswer: TypeAlias = Callable[[InferRequest], Mapping[str, Tensor] | Awaitable[Mapping[str, Tensor]]]

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
        pipeline = self._served.get(model)
        if pipeline is None or version not in ("", pipeline.version):
            raise ModelNotFound("the fake transport has no such model", model=model, version=version)
        return pipeline

    def _parameters(self, model: str, version: str) -> Mapping[str, str]:
        pipeline = self._pipeline(model, version)
        return {SERVED_VERSION_KEY: pipeline.version, **pipeline.to_parameters()}

    def _received(self, request: InferRequest) -> InferRequest:
        self._pipeline(request.model, request.model_version)
        return request_from_proto(request_to_proto(request))

    def _response(self, request: InferRequest, tensors: Mapping[str, Tensor]) -> InferResponse:
        version = self._pipeline(request.model, request.model_version).version
        proto = response_to_proto(tensors, model=request.model, version=version, request_id=request.request_id)
        return response_from_proto(proto)

    def _models(self) -> list[ServedModel]:
        return [ServedModel(name=p.name, version=p.version, state="READY") for p in self._served.values()]


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

    async def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The parameters of one of `pipelines`."""
        return self._parameters(model, version)

    async def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """Name and version of each of `pipelines`."""
        return self._models()

    async def close(self) -> None:
        """Refuse all further requests, as a closed channel does."""
        self._closed = True
