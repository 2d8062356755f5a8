"""The real transports: the KServe V2 protocol over a gRPC channel.

The protobufs and the stub come from `tritonclient`; its client classes are not used, so that both transports share
everything but the await.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from encserve._errors import (
    DeadlineExceeded,
    EncserveError,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    TransportError,
    Unavailable,
)
from encserve._messages import InferRequest, InferResponse, ServedModel
from encserve._transport import check_address
from encserve._wire import request_to_proto, response_from_proto

CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A restarted server is found again within a second; the default grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A peer that vanished without a word: TCP gives it up when data stays unacknowledged for this timeout. The pings
    # themselves must not come faster than every five minutes, or servers hang up on a long request (too_many_pings).
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_time_ms", 300_000),
]

READY_MODELS = service_pb2.RepositoryIndexRequest(ready=True)

ERRORS: dict[grpc.StatusCode, type[EncserveError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.NOT_FOUND: ModelNotFound,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: TransportError,
}
"""gRPC status -> the error it becomes; `InferenceFailed` for all others."""


class _Endpoint:
    """What the two transports share: the address, whether it was closed, and the words for what went wrong."""

    def __init__(self, url: str, *, credentials: grpc.ChannelCredentials | None = None) -> None:
        self._url = check_address(url)
        self._credentials = credentials
        self._closed = False

    def _open(self, module: Any) -> Any:
        """A channel of `grpc` or of `grpc.aio`."""
        if self._credentials is None:
            return module.insecure_channel(self._url, options=CHANNEL_OPTIONS)
        return module.secure_channel(self._url, self._credentials, options=CHANNEL_OPTIONS)

    @contextmanager
    def _translating(self, *, model: str = "", version: str = "", request_id: str = "") -> Iterator[None]:
        """Turn the errors of gRPC into those of encserve, each with what was asked."""
        if self._closed:
            raise self._closed_error()
        try:
            yield
        except grpc.RpcError as error:
            kind = ERRORS.get(error.code(), InferenceFailed)
            raise kind(
                self._message(error), model=model, version=version, request_id=request_id, status=error.code().name
            ) from error
        except (ValueError, asyncio.CancelledError) as error:  # what gRPC raises when the channel closes under a call
            if self._closed:
                raise self._closed_error() from error
            raise

    def _closed_error(self) -> TransportError:
        return TransportError(f"the client of {self._url} is closed")

    def _message(self, error: Any) -> str:
        details = error.details() or "no reason given"
        match error.code():
            case grpc.StatusCode.UNAVAILABLE:
                return f"{self._url} is down or overloaded: {details} (`encserve serve` starts a local server)"
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return f"{self._url} gave no answer in time: {details}"
            case _:
                return str(details)


class GrpcTransport(_Endpoint):
    """A channel to the gRPC endpoint of Triton; see `Transport`.

    Args:
        url: "host:port".
        credentials: for TLS, and for the tokens of a gateway; without them the connection is plain.

    Raises:
        InvalidInput: `url` is not "host:port".
    """

    def __init__(self, url: str, *, credentials: grpc.ChannelCredentials | None = None) -> None:
        super().__init__(url, credentials=credentials)
        self._channel = self._open(grpc)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """Answer one request."""
        proto = request_to_proto(request)
        with self._translating(model=request.model, version=request.model_version, request_id=request.request_id):
            answer = self._stub.ModelInfer(proto, timeout=timeout_s)
        return response_from_proto(answer)

    def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The string parameters of a model's configuration."""
        proto = service_pb2.ModelConfigRequest(name=model, version=version)
        with self._translating(model=model, version=version):
            return _string_parameters(self._stub.ModelConfig(proto, timeout=timeout_s))

    def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """All models that are ready."""
        with self._translating():
            return _served_models(self._stub.RepositoryIndex(READY_MODELS, timeout=timeout_s))

    def close(self) -> None:
        """Close the channel. Requests in flight end with `TransportError`."""
        self._closed = True
        self._channel.close()


class AsyncGrpcTransport(_Endpoint):
    """A channel to the gRPC endpoint of Triton; see `AsyncTransport`.

    The channel is made by the first request, in the event loop that runs then, and belongs to that loop.

    Args:
        url: "host:port".
        credentials: for TLS, and for the tokens of a gateway; without them the connection is plain.

    Raises:
        InvalidInput: `url` is not "host:port".
    """

    def __init__(self, url: str, *, credentials: grpc.ChannelCredentials | None = None) -> None:
        super().__init__(url, credentials=credentials)
        self._channel: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """Answer one request."""
        proto = request_to_proto(request)
        with self._translating(model=request.model, version=request.model_version, request_id=request.request_id):
            answer = await self._stub().ModelInfer(proto, timeout=timeout_s)
        return response_from_proto(answer)

    async def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The string parameters of a model's configuration."""
        proto = service_pb2.ModelConfigRequest(name=model, version=version)
        with self._translating(model=model, version=version):
            return _string_parameters(await self._stub().ModelConfig(proto, timeout=timeout_s))

    async def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """All models that are ready."""
        with self._translating():
            return _served_models(await self._stub().RepositoryIndex(READY_MODELS, timeout=timeout_s))

    async def close(self) -> None:
        """Close the channel. Requests in flight end with `TransportError`."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    def _stub(self) -> Any:
        if self._channel is None:
            self._channel = self._open(grpc.aio)
            self._loop = asyncio.get_running_loop()
        elif self._loop is not asyncio.get_running_loop():
            raise TransportError(f"the client of {self._url} belongs to another event loop; make one client per loop")
        return service_pb2_grpc.GRPCInferenceServiceStub(self._channel)


def _string_parameters(response: Any) -> dict[str, str]:
    return {name: parameter.string_value for name, parameter in response.config.parameters.items()}


def _served_models(response: Any) -> list[ServedModel]:
    return [ServedModel(name=model.name, version=model.version, state=model.state) for model in response.models]
