"""The seam to the network. The clients know nothing below it; the fakes of `encserve.testing` replace it."""

import re
from collections.abc import Mapping
from typing import Protocol

from encserve._admin_secret import is_loopback
from encserve._errors import InvalidInput
from encserve._messages import InferRequest, InferResponse, ServedModel


class Transport(Protocol):
    """What a `Client` needs of a server. All methods may be called from several threads at once.

    They raise only `EncserveError`: `Unavailable` where another attempt may succeed, `DeadlineExceeded` after
    `timeout_s`.
    """

    def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """Answer one request."""

    def give_up(self, request: InferRequest) -> None:
        """Tell the server that nobody waits for the answer to `request` any more, which frees its place in the queue.
        It may not hear it; nothing is raised."""

    def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The string parameters of a model's configuration. An empty version is the one the server chooses."""

    def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """All models that are ready, the steps of pipelines and models of others among them."""

    def close(self) -> None:
        """Release the connection. Requests in flight end with `TransportError`."""


class AsyncTransport(Protocol):
    """What an `AsyncClient` needs of a server: `Transport`, awaited."""

    async def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """Answer one request."""

    def give_up(self, request: InferRequest) -> None:
        """Begin to tell the server that nobody waits for the answer to `request` any more, which frees its place in the
        queue. It may not hear it; nothing is raised."""

    async def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The string parameters of a model's configuration. An empty version is the one the server chooses."""

    async def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """All models that are ready, the steps of pipelines and models of others among them."""

    async def close(self) -> None:
        """Release the connection. Requests in flight end with `TransportError`."""


ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")


def check_address(url: str) -> str:
    """Return `url` if it is "host:port".

    Raises:
        InvalidInput: it is not.
    """
    match = ADDRESS.fullmatch(url)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise InvalidInput(f'url is {url!r}, expected "host:port" of the gRPC endpoint, such as "localhost:8001"')
    return url


API_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{8,}")


def check_api_key(key: str, *, url: str, encrypted: bool) -> None:
    """Refuse a key that cannot be sent, or would be readable on its way.

    Raises:
        InvalidInput: the message does not repeat the key.
    """
    if not API_KEY.fullmatch(key):
        raise InvalidInput("api_key must be 8 or more letters, digits and characters of . _ ~ + / = -, without spaces")
    if not (encrypted or is_loopback(url.rpartition(":")[0])):
        raise InvalidInput(f"the api_key would travel to {url} unencrypted: give tls=Tls() as well")
