"""The transport of `Client`: the KServe V2 protocol over gRPC channels."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import grpc
from tritonclient.grpc import service_pb2

from encserve._messages import InferRequest, InferResponse, ServedModel, giving_up
from encserve._transport import leaving
from encserve._transport.connectivity import Connectivity
from encserve._transport.over_grpc import READY_MODELS, OverGrpc, asked_about, served_models, string_parameters
from encserve._transport.replicas import Replica
from encserve._transport.seam import ResponseStream
from encserve._transport.streams import BlockingStream, messages, only
from encserve._transport.wire import request_to_proto, response_from_proto


class GrpcTransport(OverGrpc):
    """Channels to the gRPC endpoint of Triton, one to each replica; see `Transport`.

    Args:
        url: "host:port"; several in a list, or "dns:///host:port", whose requests go to each in turn.
        tls: how to encrypt; without it and `credentials` the connection is plain.
        api_key: of a gateway, sent with each request.
        admin_secret: of the server, for `pipelines`; by default that of a server which this user runs on this host.
        credentials: what gRPC has beyond `tls`, in place of it.

    Raises:
        InvalidInput: `url` is no address, a file of `tls` is unfit, or `api_key` would travel unencrypted.
    """

    def _begin(self) -> None:
        self._replicas = self._open(grpc)
        self._calls = leaving.Calls()
        self._messages = leaving.Calls()
        self._streams: WeakValueDictionary[InferRequest, BlockingStream] = WeakValueDictionary()

    def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """Answer one request."""
        if request.decoupled:
            stream = self.stream(request, timeout_s=timeout_s)
            return only(stream.next(), stream.next(), request)
        proto = request_to_proto(request, timeout_s=timeout_s)
        metadata = (*self._metadata, *request.metadata)
        with self._replicas.asking() as replica, self._asking(self._replicas, replica, request):
            self._replicas.asked[request] = replica
            call = replica.stub.ModelInfer.future(proto, timeout=timeout_s + leaving.END_S, metadata=metadata)
            answer = self._calls.result(call, request, timeout_s=timeout_s)
        return response_from_proto(answer)

    def stream(self, request: InferRequest, *, timeout_s: float) -> ResponseStream:
        """Begin to answer one request with several responses."""
        metadata = (*self._metadata, *request.metadata)
        with self._replicas.asking() as replica, self._asking(self._replicas, replica, request):
            self._replicas.asked[request] = replica
            sent = messages(request, timeout_s=timeout_s)
            call = replica.stub.ModelStreamInfer(sent, timeout=timeout_s + leaving.END_S, metadata=metadata)
        errors = partial(self._asking, self._replicas, replica, request)
        cancel = partial(self._cancel, request, call)
        stream = BlockingStream(call, errors, leave=self._messages.add, cancel=cancel, timeout_s=timeout_s)
        self._streams[request] = stream
        return stream

    def give_up(self, request: InferRequest) -> None:
        """Begin to tell the server that nobody waits for the answer to `request` any more."""
        if stream := self._streams.get(request):
            stream.cancel()
        self._tell(self._replicas.give_up(request), request)
        self._calls.leave(request)

    def _cancel(self, request: InferRequest, call: Any) -> None:
        replica = self._replicas.give_up(request)
        call.cancel()
        self._tell(replica, request)

    def _tell(self, replica: Replica | None, request: InferRequest) -> None:
        if replica is None:
            return
        message = giving_up(request)
        with suppress(ValueError):  # the channel is closed
            if request.decoupled:
                call = replica.stub.ModelStreamInfer(
                    messages(message), timeout=leaving.GIVE_UP_S, metadata=self._metadata
                )
                threading.Thread(target=leaving.read_to_the_end, args=(call,), daemon=True).start()
            else:
                proto = request_to_proto(message)
                call = replica.stub.ModelInfer.future(proto, timeout=leaving.GIVE_UP_S, metadata=self._metadata)
            self._messages.add(call)

    def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The string parameters of a model's configuration."""
        proto = service_pb2.ModelConfigRequest(name=model, version=version)
        return string_parameters(self.ask("ModelConfig", proto, timeout_s=timeout_s))

    def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """All models that are ready."""
        return served_models(self.ask("RepositoryIndex", READY_MODELS, timeout_s=timeout_s, operator=True))

    def ask(self, method: str, proto: Any, *, timeout_s: float, operator: bool = False) -> Any:
        """The answer of one method of Triton's service; as an `operator`, the secret goes with the request."""
        with self._replicas.asking() as replica, self._asking(self._replicas, replica, **asked_about(proto)):
            metadata = self._metadata_for(replica, operator=operator)
            return getattr(replica.stub, method)(proto, timeout=timeout_s, metadata=metadata)

    def close(self) -> None:
        """Close the channels. Requests in flight end with `TransportError`, within a second."""
        self._closed = True
        leaving.close(self._messages, self._calls, self._replicas.close)

    def _connected(self, channel: Any) -> Callable[[], bool]:
        return Connectivity(channel).is_ready
