"""The seam to the network. The clients know nothing below it; the fakes of `encserve.testing` replace it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from encserve._messages import InferRequest, InferResponse, ServedModel


class ResponseStream(Protocol):
    """The responses to one request."""

    def next(self) -> InferResponse | None:
        """Wait for the next response; None after the last."""

    def cancel(self) -> None:
        """Tell the server that nobody waits for more; returns at once. A thread that waits ends with an error."""


class AsyncResponseStream(Protocol):
    """`ResponseStream`, awaited."""

    async def next(self) -> InferResponse | None:
        """Wait for the next response; None after the last."""

    def cancel(self) -> None:
        """Tell the server that nobody waits for more; returns at once."""


class Transport(Protocol):
    """What a `Client` needs of a server. All methods may be called from several threads at once.

    They raise only `EncserveError`: `Unavailable` where another attempt may succeed, `Overloaded` where it may as soon
    as there is room, `DeadlineExceeded` after `timeout_s`.
    """

    def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """Answer one request."""

    def stream(self, request: InferRequest, *, timeout_s: float) -> ResponseStream:
        """Begin to answer one request with several responses, all of them within `timeout_s`."""

    def give_up(self, request: InferRequest) -> None:
        """Begin to tell the server that nobody waits for the answer to `request` any more, which frees its place in the
        queue. It returns at once; the server may not hear it, and nothing is raised. A thread that waits for the answer
        should end with `TransportError` soon."""

    def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The string parameters of a model's configuration. An empty version is the one the server chooses; where the
        configuration pins it, it is the parameter "encserve_served_version"."""

    def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """All models that are ready, the steps of pipelines and models of others among them."""

    def close(self) -> None:
        """Release the connection. Requests in flight end with `TransportError`."""


class AsyncTransport(Protocol):
    """What an `AsyncClient` needs of a server: `Transport`, awaited."""

    async def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """Answer one request."""

    async def stream(self, request: InferRequest, *, timeout_s: float) -> AsyncResponseStream:
        """Begin to answer one request with several responses, all of them within `timeout_s`."""

    def give_up(self, request: InferRequest) -> None:
        """Begin to tell the server that nobody waits for the answer to `request` any more, which frees its place in the
        queue. It may not hear it; nothing is raised."""

    async def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The string parameters of a model's configuration. An empty version is the one the server chooses; where the
        configuration pins it, it is the parameter "encserve_served_version"."""

    async def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """All models that are ready, the steps of pipelines and models of others among them."""

    async def close(self) -> None:
        """Release the connection. Requests in flight end with `TransportError`."""
