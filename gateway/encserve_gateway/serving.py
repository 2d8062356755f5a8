"""Runs the application with uvicorn, in one process or several."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import signal
import sys
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from encserve import AsyncClient, InvalidInput, Retry
from encserve._commands.access import Access
from encserve._conversation.settings import RETRY
from encserve._transport.addresses import DEFAULT_URL, read_addresses
from encserve_gateway.config import GatewayConfig
from encserve_gateway.observation.processes import MULTIPROCESS

if TYPE_CHECKING:
    import uvicorn

    from encserve_gateway.app import Gateway

LOG = logging.getLogger("encserve.gateway")

KEEP_ALIVE_S = 75
"""Seconds that an idle connection is kept: longer than the pools of clients keep theirs (nginx 60 s, aiohttp 15 s), or
they send a request into a connection that is just being closed."""

BACKLOG = 2_048
"""Connections that wait to be accepted."""

GATHER_S = 0.004
"""Seconds for which a text waits for company while a request is under way. Requests over HTTP come one after another,
over some milliseconds where callers answered together ask again; within the SDK's own 1 ms few of them would meet."""

STOP_S = 30
"""Seconds that requests in flight may take at the end."""


@dataclass(frozen=True, kw_only=True)
class ServingConfig:
    """Where a gateway listens, and whom it asks."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    """Processes. Calls share requests to a pipeline within a process, so more than one pays where a core is too little
    for HTTP and JSON."""
    url: str = DEFAULT_URL
    """The server, or its replicas with commas between, as `AsyncClient` has it."""
    timeout_s: float = 30.0
    """Seconds that a call to the pipelines may take."""
    access: Access = field(default_factory=Access)

    def __post_init__(self) -> None:
        read_addresses(self.url)
        if self.workers < 1:
            raise InvalidInput(f"workers is {self.workers}, it must be 1 or more")
        if not 0 <= self.port <= 65_535:
            raise InvalidInput(f"port is {self.port}, it must be between 0 and 65535")
        if self.timeout_s <= 0:
            raise InvalidInput(f"timeout_s is {self.timeout_s:g}, it must be positive")

    @property
    def is_loopback(self) -> bool:
        """Whether only this host reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # another name, which may mean anything
            return False


def connect(serving: ServingConfig, *, retry: Retry = RETRY) -> AsyncClient:
    """The client of the pipelines. Raises InvalidInput."""
    access = serving.access
    return AsyncClient(
        serving.url,
        timeout_s=serving.timeout_s,
        retry=retry,
        tls=access.tls,
        api_key=access.api_key,
        admin_secret=access.admin_secret,
        coalesce=GATHER_S,
    )


def application(serving: ServingConfig, gateway: GatewayConfig) -> Gateway:
    """The application, in the process in which it is to run."""
    from encserve_gateway.app import Gateway

    once = partial(connect, serving, retry=Retry(attempts=1))
    return Gateway(partial(connect, serving), gateway, connect_once=once)


def uvicorn_config(serving: ServingConfig, gateway: GatewayConfig) -> uvicorn.Config:
    """How uvicorn runs it."""
    import uvicorn

    return uvicorn.Config(
        partial(application, serving, gateway),
        factory=True,
        host=serving.host,
        port=serving.port,
        workers=serving.workers,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http=_http(),
        ws="none",
        lifespan="on",
        proxy_headers=False,  # nothing here asks where a caller is
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=True,
    )


def _http() -> type[asyncio.Protocol] | Literal["httptools"]:
    """The protocol that tells of ends, on the insides of the uvicorn that it was written for; uvicorn's own with any
    other, where each request waits for that itself."""
    try:
        from encserve_gateway.http.protocol import TellingProtocol, lacking
    except ImportError as error:
        lacks = [str(error)]
    else:
        lacks = lacking()
        if not lacks:
            return TellingProtocol
    LOG.warning("uvicorn %s lacks %s: its own protocol serves, which is slower", version("uvicorn"), "; ".join(lacks))
    return "httptools"


def address_of(host: str, port: int) -> str:
    """How clients are told where it listens, such as "http://[::1]:8080"."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(serving: ServingConfig, gateway: GatewayConfig) -> None:
    """Serve until SIGINT or SIGTERM; what is in flight then is answered."""
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    with ExitStack() as stack:
        if serving.workers > 1:  # before anything of prometheus_client is imported, which then keeps its numbers there
            os.environ[MULTIPROCESS] = stack.enter_context(tempfile.TemporaryDirectory(prefix="encserve-gateway-"))
        import encserve_gateway.app  # noqa: F401, a package that is missing is an error here, and of no process later

        config = uvicorn_config(serving, gateway)
        listener = config.bind_socket()
        stack.callback(listener.close)
        listener.listen(BACKLOG)  # from here on connections wait until they are accepted, and none is refused
        print(f"HTTP     {address_of(*listener.getsockname()[:2])}\npipelines of {serving.url}", flush=True)
        if serving.workers > 1:
            Multiprocess(config, [listener]).run()
            return
        # Once all is answered, uvicorn raises again the signal that ended it, which is to end nothing else.
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
