"""The options of the launcher, checked when built."""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path

from encserve_server.errors import ConfigError
from encserve_server.steps.trace.settings import COLLECTOR, USUAL_SHARE
from encserve_server.tls import ServerTls

LOOPBACK = "127.0.0.1"
MAX_PORT = 65_535
MAX_TIMEOUT_S = 3_600
ADMIN_SECRET = re.compile(r"[A-Za-z0-9_-]{16,}")


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """The options of a Triton server that is started on this host."""

    repository: Path = Path("model_repository")
    models: tuple[str, ...] = ()
    """The pipelines to serve; empty means every pipeline of the repository."""
    host: str = LOOPBACK
    """The IPv4 address to bind. Triton 2.51 binds 255.255.255.255 for a name and ends with a crash for IPv6."""
    metrics_host: str = ""
    """The IPv4 address to bind for the metrics, which have no login; empty for `host`."""
    http_port: int = 8000
    grpc_port: int = 8001
    metrics_port: int = 8002
    health_port: int = 0
    """The port, on loopback, of a page that says how the pipelines are; 0 for none."""
    startup_timeout_s: float = 120
    """Seconds that the pipelines may take until they answer."""
    exit_timeout_s: int = 30
    """Seconds that requests in flight, and then the unloading of the models, may take once a stop was asked for."""
    verbose: bool = False
    """Whether to show Triton's information messages too, and not only its warnings and errors."""
    tls: ServerTls | None = None
    """The certificates that encrypt gRPC; None for plain text. With them HTTP, which Triton cannot encrypt, is bound to
    loopback."""
    live_code: Path | None = None
    """A source tree of the steps whose code is served in place of that of the versions, while it is edited."""
    otlp: str = ""
    """The collector that the steps tell of requests by OTLP over HTTP, such as "http://localhost:4318"; empty for
    none."""
    trace_share: float = USUAL_SHARE
    """The share of the requests without a trace of their caller's that the collector is told of."""
    trace_request_ids: bool = False
    """Whether the collector is told the ids that callers gave their requests."""
    admin_secret: str = field(default="", repr=False)
    """The secret without which Triton loads no model for anybody, and shows no statistics, logs or traces; empty for a
    new one."""

    def __post_init__(self) -> None:
        for flag, address in (("--host", self.host), ("--metrics-host", self.metrics_address)):
            try:
                ipaddress.IPv4Address(address)
            except ValueError as error:
                raise ConfigError(
                    f"{flag} must be an IPv4 address such as {LOOPBACK} or 0.0.0.0, not {address!r}"
                ) from error
        ports = {**self.ports, **({"--health-port": self.health_port} if self.health_port else {})}
        for flag, port in ports.items():
            if not 1 <= port <= MAX_PORT:
                raise ConfigError(f"{flag} must be between 1 and {MAX_PORT}, not {port}")
        if len(set(ports.values())) < len(ports):
            raise ConfigError(f"the ports must differ: {', '.join(f'{flag} {port}' for flag, port in ports.items())}")
        if not 0 < self.startup_timeout_s <= MAX_TIMEOUT_S:
            raise ConfigError(
                f"--startup-timeout-s must be above 0 and at most {MAX_TIMEOUT_S}, not {self.startup_timeout_s:g}"
            )
        if not 1 <= self.exit_timeout_s <= MAX_TIMEOUT_S:
            raise ConfigError(f"--exit-timeout-s must be between 1 and {MAX_TIMEOUT_S}, not {self.exit_timeout_s}")
        if self.live_code is not None and not (self.live_code / "tokenize" / "step.py").is_file():
            raise ConfigError(
                f"--live-code {self.live_code} is no source tree of the steps: it has no tokenize/step.py"
            )
        if self.otlp and not COLLECTOR.fullmatch(self.otlp):
            raise ConfigError(f"--otlp must have the form http://HOST:PORT, not {self.otlp!r}")
        if not 0 <= self.trace_share <= 1:
            raise ConfigError(f"--trace-share must be between 0 and 1, not {self.trace_share:g}")
        if self.admin_secret and not ADMIN_SECRET.fullmatch(self.admin_secret):
            raise ConfigError(
                "the admin secret must be 16 or more letters, digits, - and _, as `openssl rand -hex 32` prints them; "
                f"the one given has {len(self.admin_secret)} characters"
            )

    @property
    def ports(self) -> dict[str, int]:
        """Return each port under the flag that changes it."""
        return {"--http-port": self.http_port, "--grpc-port": self.grpc_port, "--metrics-port": self.metrics_port}

    @property
    def ports_by_address(self) -> dict[str, dict[str, int]]:
        """Return the ports, as in `ports`, under the address that each is bound to."""
        addresses = {"--http-port": self.http_host, "--grpc-port": self.host, "--metrics-port": self.metrics_address}
        ports: dict[str, dict[str, int]] = {}
        for flag, port in self.ports.items():
            ports.setdefault(addresses[flag], {})[flag] = port
        return ports

    @property
    def metrics_address(self) -> str:
        """Return the address that the metrics are bound to."""
        return self.metrics_host or self.host

    @property
    def is_loopback(self) -> bool:
        """Return whether only this host can reach the server."""
        return all(ipaddress.IPv4Address(address).is_loopback for address in (self.host, self.metrics_address))

    @property
    def http_host(self) -> str:
        """Return the address to bind for HTTP: texts that gRPC encrypts shall not leave this host readable over
        HTTP."""
        return LOOPBACK if self.tls is not None and not self.is_loopback else self.host

    @property
    def client_host(self) -> str:
        """Return the address under which this host reaches the server."""
        return reachable(self.host)


def reachable(address: str) -> str:
    """Return the address under which this host reaches what is bound to `address`."""
    return LOOPBACK if ipaddress.IPv4Address(address).is_unspecified else address
