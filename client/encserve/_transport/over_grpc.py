"""What the transports of both clients share: all but the await.

The protobufs and the stub come from `tritonclient`; its client classes are not used, as they share nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from encserve._errors import DeadlineExceeded, InvalidInput, Overloaded, TransportError, Unavailable
from encserve._messages import InferRequest, ServedModel
from encserve._pipeline import SERVED_VERSION_KEY
from encserve._transport.addresses import check_api_key, check_is_secret, read_addresses, stands_for_several
from encserve._transport.admin_secret import ADMIN_METADATA, local_admin_secret
from encserve._transport.failures import error_of
from encserve._transport.leaving import ChannelClosed, GivenUp
from encserve._transport.replicas import Replica, Replicas
from encserve._transport.tls import Tls

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

Metadata = tuple[tuple[str, str], ...]
"""What travels beside a message."""


class OverGrpc:
    """Channels to the gRPC endpoint of Triton, one to each replica; see `GrpcTransport`."""

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        tls: Tls | None = None,
        api_key: str | None = None,
        admin_secret: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        if tls is not None and credentials is not None:
            raise InvalidInput("tls and credentials are two ways to say the same; give one of them")
        self._addresses = read_addresses(url)
        self._shown = ", ".join(self._addresses)
        """The addresses as an error names them."""
        self._options: list[tuple[str, int | str]] = [*CHANNEL_OPTIONS]
        self._credentials = credentials
        if tls is not None:
            self._credentials = grpc.ssl_channel_credentials(*tls.read())
            if tls.server_name:
                self._options.append(("grpc.ssl_target_name_override", tls.server_name))
        self._metadata: Metadata = ()
        """What goes with every request."""
        if api_key is not None:
            check_api_key(api_key)
            check_is_secret("api_key", self._addresses, encrypted=self._credentials is not None)
            self._metadata = (("authorization", f"Bearer {api_key}"),)
        self._admin_secret = admin_secret
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        """Make what a transport has of its own."""
        raise NotImplementedError

    def _connected(self, channel: Any) -> Callable[[], bool]:
        """What says whether a channel is connected."""
        raise NotImplementedError

    def _open(self, library: Any) -> Replicas:
        """The channels, of `grpc` or of `grpc.aio`."""
        return Replicas([self._replica(library, address) for address in self._addresses])

    def _replica(self, library: Any, address: str) -> Replica:
        options = [*self._options]
        if stands_for_several(address):
            options.append(("grpc.lb_policy_name", "round_robin"))
        if self._credentials is None:
            channel = library.insecure_channel(address, options=options)
        else:
            channel = library.secure_channel(address, self._credentials, options=options)
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        return Replica(address, channel, stub, connected=self._connected(channel))

    def _metadata_for(self, replica: Replica, *, operator: bool) -> Metadata:
        """What goes with a request; with one that only an `operator` may make the secret, too.

        Raises:
            InvalidInput: the secret would be readable on its way.
        """
        if not operator:
            return self._metadata
        if self._admin_secret:
            check_is_secret("admin_secret", [replica.address], encrypted=self._is_private(replica.address))
        secret = self._admin_secret or local_admin_secret(replica.address)
        return (*self._metadata, *([(ADMIN_METADATA, secret)] if secret else []))

    def _is_private(self, address: str) -> bool:
        """Return whether nobody can read on its way what is sent to `address`; loopback needs nothing for that."""
        return self._credentials is not None

    @contextmanager
    def _asking(
        self, replicas: Replicas, replica: Replica, request: InferRequest | None = None, **about: Any
    ) -> Iterator[None]:
        """Turn the errors of a call into those of encserve, and ask others for a while where the replica is down.

        `about` says what is asked, in fields of an error; a request says so itself.
        """
        if self._closed:
            raise self._closed_error()
        if request is not None:
            about = {"model": request.model, "version": request.model_version, "request_id": request.request_id}
        try:
            yield
        except GivenUp:
            raise TransportError("the request was given up", **about) from None
        except ChannelClosed:
            raise self._closed_error() from None
        except TimeoutError as failure:
            raise DeadlineExceeded(f"{self._shown} gave no answer in time", **about) from failure
        except grpc.RpcError as failure:
            if self._closed:
                raise self._closed_error() from failure
            error = error_of(failure, shown=self._shown, with_key=bool(self._metadata), **about)
            if type(error) is Unavailable:
                if error.status == grpc.StatusCode.UNAVAILABLE.name and replica.connected():
                    # It is up, and says that it has no room.
                    message = f"{self._shown} refused: {failure.details()}"
                    raise Overloaded(message, **about, status=error.status) from failure
                if error.status == grpc.StatusCode.CANCELLED.name and request in replicas.given_up:
                    raise TransportError("the request was given up", **about, status=error.status) from failure
                replicas.was_down(replica)
            raise error from failure
        except ValueError as failure:  # what gRPC raises on a closed channel
            if self._closed:
                raise self._closed_error() from failure
            raise

    def _closed_error(self) -> TransportError:
        return TransportError(f"the client of {self._shown} is closed")


def asked_about(proto: Any) -> dict[str, Any]:
    """What a message of Triton's service is about, in fields of an error; empty where it is about no model."""
    model = getattr(proto, "name", "") or getattr(proto, "model_name", "")
    return {"model": model, "version": getattr(proto, "version", "")}


def string_parameters(response: Any) -> Mapping[str, str]:
    """The string parameters in a `ModelConfigResponse`, and the version where it pins one, as each pipeline does."""
    config = response.config
    versions = config.version_policy.specific.versions
    pinned = {SERVED_VERSION_KEY: str(versions[0])} if len(versions) == 1 else {}
    return {**pinned, **{name: parameter.string_value for name, parameter in config.parameters.items()}}


def served_models(response: Any) -> list[ServedModel]:
    """The models in a `RepositoryIndexResponse`."""
    return [ServedModel(name=model.name, version=model.version, state=model.state) for model in response.models]
