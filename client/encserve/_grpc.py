"""The real transports: the KServe V2 protocol over a gRPC channel.

The protobufs and the stub come from `tritonclient`; its client classes are not used, so that both transports share
everything but the await.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from encserve._admin_secret import ADMIN_METADATA, local_admin_secret
from encserve._errors import (
    AccessDenied,
    DeadlineExceeded,
    EncserveError,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    RateLimited,
    TransportError,
    Unavailable,
)
from encserve._leaving import END_S, AsyncCalls, Calls
from encserve._messages import InferRequest, InferResponse, ServedModel, giving_up
from encserve._tls import Tls
from encserve._transport import check_address, check_api_key
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

GIVE_UP_S = 1.0
"""How long a server may take to hear that an answer is not wanted any more."""

READY_MODELS = service_pb2.RepositoryIndexRequest(ready=True)

ERRORS: dict[grpc.StatusCode, type[EncserveError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.NOT_FOUND: ModelNotFound,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: TransportError,
    grpc.StatusCode.UNAUTHENTICATED: AccessDenied,
    grpc.StatusCode.PERMISSION_DENIED: AccessDenied,
}
"""gRPC status -> the error it becomes; `InferenceFailed` for all others."""


RESTRICTED = "This protocol is restricted"
"""How Triton begins to refuse who did not send the secret, with the status of a server that is down: UNAVAILABLE."""


DEAD_PROCESS = re.compile(r"Stub process '[^']*' is not healthy")
"""How Triton says that a process of the Python backend has died. Whoever watches the server starts it again."""


class _Endpoint:
    """What the two transports share: the address, what is shown to be let in, and the words for what went wrong."""

    def __init__(
        self,
        url: str,
        *,
        tls: Tls | None,
        api_key: str | None,
        admin_secret: str | None,
        credentials: grpc.ChannelCredentials | None,
    ) -> None:
        if tls is not None and credentials is not None:
            raise InvalidInput("tls and credentials are two ways to say the same; give one of them")
        self._url = check_address(url)
        self._options: list[tuple[str, int | str]] = [*CHANNEL_OPTIONS]
        self._credentials = credentials
        if tls is not None:
            self._credentials = grpc.ssl_channel_credentials(*tls.read())
            if tls.server_name:
                self._options.append(("grpc.ssl_target_name_override", tls.server_name))
        self._metadata: list[tuple[str, str]] = []
        if api_key is not None:
            check_api_key(api_key, url=url, encrypted=self._credentials is not None)
            self._metadata.append(("authorization", f"Bearer {api_key}"))
        self._admin_secret = admin_secret
        self._closed = False

    def _open(self, module: Any) -> Any:
        """A channel of `grpc` or of `grpc.aio`."""
        if self._credentials is None:
            return module.insecure_channel(self._url, options=self._options)
        return module.secure_channel(self._url, self._credentials, options=self._options)

    def _admin_metadata(self) -> list[tuple[str, str]]:
        """What goes with a request that only an operator may make, and with no other."""
        secret = self._admin_secret or local_admin_secret(self._url)
        return [*self._metadata, *([(ADMIN_METADATA, secret)] if secret else [])]

    @contextmanager
    def _translating(self, *, model: str = "", version: str = "", request_id: str = "") -> Iterator[None]:
        """Turn the errors of gRPC into those of encserve, each with what was asked."""
        if self._closed:
            raise self._closed_error()
        try:
            yield
        except TimeoutError as error:
            message = f"{self._url} gave no answer in time"
            raise DeadlineExceeded(message, model=model, version=version, request_id=request_id) from error
        except grpc.RpcError as error:
            if self._closed:
                raise self._closed_error() from error
            failed = self._kind(error)(
                self._message(error), model=model, version=version, request_id=request_id, status=error.code().name
            )
            if isinstance(failed, RateLimited):
                failed.retry_after_s = _retry_after_s(error)
            raise failed from error
        except (ValueError, asyncio.CancelledError) as error:  # what gRPC raises when the channel closes under a call
            if self._closed:
                raise self._closed_error() from error
            raise

    def _closed_error(self) -> TransportError:
        return TransportError(f"the client of {self._url} is closed")

    @staticmethod
    def _kind(error: Any) -> type[EncserveError]:
        if (error.details() or "").startswith(RESTRICTED):  # no status tells it from a server that is down
            return AccessDenied
        if DEAD_PROCESS.search(error.details() or ""):  # INTERNAL, as for what no other attempt would help
            return Unavailable
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and _retry_after_s(error) is not None:
            return RateLimited
        return ERRORS.get(error.code(), InferenceFailed)

    def _message(self, error: Any) -> str:
        details = error.details() or "no reason given"
        if details.startswith(RESTRICTED):
            return (
                f"{self._url} does this for operators only ({details}): give `admin_secret=`, "
                "or ENCSERVE_ADMIN_SECRET to a command"
            )
        match error.code():
            case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
                known = "the API key that was sent is not valid there"
                hint = known if self._metadata else "give `api_key=`, or ENCSERVE_API_KEY to a command"
                return f"{self._url} refused: {details} ({hint})"
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
        tls: how to encrypt; without it and `credentials` the connection is plain.
        api_key: of a gateway, sent with each request.
        admin_secret: of the server, for `pipelines`; by default that of a server which this user runs on this host.
        credentials: what gRPC has beyond `tls`, in place of it.

    Raises:
        InvalidInput: `url` is not "host:port", a file of `tls` is unfit, or `api_key` would travel unencrypted.
    """

    def __init__(
        self,
        url: str,
        *,
        tls: Tls | None = None,
        api_key: str | None = None,
        admin_secret: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        super().__init__(url, tls=tls, api_key=api_key, admin_secret=admin_secret, credentials=credentials)
        self._channel = self._open(grpc)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._calls = Calls()

    def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """Answer one request."""
        proto = request_to_proto(request, timeout_s=timeout_s)
        with self._translating(model=request.model, version=request.model_version, request_id=request.request_id):
            call = self._stub.ModelInfer.future(proto, timeout=timeout_s + END_S, metadata=self._metadata)
            answer = self._calls.result(call, timeout_s=timeout_s)
        return response_from_proto(answer)

    def give_up(self, request: InferRequest) -> None:
        """Tell the server that nobody waits for the answer to `request` any more."""
        with suppress(grpc.RpcError, ValueError):  # it answers with an error; a closed channel raises ValueError
            self._stub.ModelInfer(request_to_proto(giving_up(request)), timeout=GIVE_UP_S, metadata=self._metadata)

    def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The string parameters of a model's configuration."""
        proto = service_pb2.ModelConfigRequest(name=model, version=version)
        with self._translating(model=model, version=version):
            return _string_parameters(self._stub.ModelConfig(proto, timeout=timeout_s, metadata=self._metadata))

    def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """All models that are ready."""
        with self._translating():
            index = self._stub.RepositoryIndex(READY_MODELS, timeout=timeout_s, metadata=self._admin_metadata())
            return _served_models(index)

    def close(self) -> None:
        """Close the channel. Requests in flight end with `TransportError`."""
        self._closed = True
        self._calls.wait()
        self._channel.close()


class AsyncGrpcTransport(_Endpoint):
    """A channel to the gRPC endpoint of Triton; see `AsyncTransport`.

    The channel is made by the first request, in the event loop that runs then, and belongs to that loop.

    Args:
        url: "host:port".
        tls: how to encrypt; without it and `credentials` the connection is plain.
        api_key: of a gateway, sent with each request.
        admin_secret: of the server, for `pipelines`; by default that of a server which this user runs on this host.
        credentials: what gRPC has beyond `tls`, in place of it.

    Raises:
        InvalidInput: `url` is not "host:port", a file of `tls` is unfit, or `api_key` would travel unencrypted.
    """

    def __init__(
        self,
        url: str,
        *,
        tls: Tls | None = None,
        api_key: str | None = None,
        admin_secret: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        super().__init__(url, tls=tls, api_key=api_key, admin_secret=admin_secret, credentials=credentials)
        self._channel: Any = None
        self._calls = AsyncCalls()
        self._messages: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """Answer one request."""
        proto = request_to_proto(request, timeout_s=timeout_s)
        with self._translating(model=request.model, version=request.model_version, request_id=request.request_id):
            call = self._stub().ModelInfer(proto, timeout=timeout_s + END_S, metadata=self._metadata)
            answer = await self._calls.result(call, timeout_s=timeout_s)
        return response_from_proto(answer)

    def give_up(self, request: InferRequest) -> None:
        """Tell the server, in a task of its own, that nobody waits for the answer to `request` any more."""
        message = asyncio.get_running_loop().create_task(self._tell_given_up(request))
        self._messages.add(message)
        message.add_done_callback(self._messages.discard)

    async def _tell_given_up(self, request: InferRequest) -> None:
        proto = request_to_proto(giving_up(request))
        with suppress(grpc.RpcError):  # the answer is an error
            await self._stub().ModelInfer(proto, timeout=GIVE_UP_S, metadata=self._metadata)

    async def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The string parameters of a model's configuration."""
        proto = service_pb2.ModelConfigRequest(name=model, version=version)
        with self._translating(model=model, version=version):
            call = self._stub().ModelConfig(proto, timeout=timeout_s, metadata=self._metadata)
            return _string_parameters(await call)

    async def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """All models that are ready."""
        with self._translating():
            call = self._stub().RepositoryIndex(READY_MODELS, timeout=timeout_s, metadata=self._admin_metadata())
            return _served_models(await call)

    async def close(self) -> None:
        """Close the channel. Requests in flight end with `TransportError`."""
        self._closed = True
        if self._messages:
            await asyncio.wait(self._messages, timeout=GIVE_UP_S)
        await self._calls.wait()
        if self._channel is not None:
            await self._channel.close()

    def _stub(self) -> Any:
        if self._channel is None:
            self._channel = self._open(grpc.aio)
            self._loop = asyncio.get_running_loop()
        elif self._loop is not asyncio.get_running_loop():
            raise TransportError(f"the client of {self._url} belongs to another event loop; make one client per loop")
        return service_pb2_grpc.GRPCInferenceServiceStub(self._channel)


def _retry_after_s(error: Any) -> float | None:
    """The seconds after which a gateway wants to be asked again; None where it does not say."""
    for name, value in error.trailing_metadata() or ():
        if name == "retry-after" and value.isdecimal():  # it may also be a date, which no gateway of ours sends
            return float(value)
    return None


def _string_parameters(response: Any) -> dict[str, str]:
    return {name: parameter.string_value for name, parameter in response.config.parameters.items()}


def _served_models(response: Any) -> list[ServedModel]:
    return [ServedModel(name=model.name, version=model.version, state=model.state) for model in response.models]
