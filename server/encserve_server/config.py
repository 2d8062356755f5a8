"""The options of the launcher, checked when built."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from encserve_server.errors import ConfigError

LOOPBACK = "127.0.0.1"
MAX_PORT = 65_535
MAX_TIMEOUT_S = 3_600


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """How a Triton server is started on this host."""

    repository: Path = Path("model_repository")
    models: tuple[str, ...] = ()
    """The pipelines to serve; empty means every pipeline of the repository."""
    host: str = LOOPBACK
    """The IPv4 address to bind. Triton 2.51 binds 255.255.255.255 for a name and ends with a crash for IPv6."""
    http_port: int = 8000
    grpc_port: int = 8001
    metrics_port: int = 8002
    startup_timeout_s: float = 120
    """How long the pipelines may take until they answer."""
    exit_timeout_s: int = 30
    """How long requests in flight, and then the unloading of the models, may take once a stop was asked for."""
    verbose: bool = False
    """Show Triton's information messages too, not only its warnings and errors."""

    def __post_init__(self) -> None:
        try:
            ipaddress.IPv4Address(self.host)
        except ValueError as error:
            raise ConfigError(
                f"--host must be an IPv4 address such as {LOOPBACK} or 0.0.0.0, not {self.host!r}"
            ) from error
        for flag, port in self.ports.items():
            if not 1 <= port <= MAX_PORT:
                raise ConfigError(f"{flag} must be between 1 and {MAX_PORT}, not {port}")
        if len(set(self.ports.values())) < len(self.ports):
            given = ", ".join(f"{flag} {port}" for flag, port in self.ports.items())
            raise ConfigError(f"the three ports must differ: {given}")
        if not 0 < self.startup_timeout_s <= MAX_TIMEOUT_S:
            raise ConfigError(
                f"--startup-timeout-s must be above 0 and at most {MAX_TIMEOUT_S}, not {self.startup_timeout_s:g}"
            )
        if not 1 <= self.exit_timeout_s <= MAX_TIMEOUT_S:
            raise ConfigError(f"--exit-timeout-s must be between 1 and {MAX_TIMEOUT_S}, not {self.exit_timeout_s}")

    @property
    def ports(self) -> dict[str, int]:
        """Each port under the flag that changes it."""
        return {"--http-port": self.http_port, "--grpc-port": self.grpc_port, "--metrics-port": self.metrics_port}

    @property
    def is_loopback(self) -> bool:
        """Whether only this host can reach the server."""
        return ipaddress.IPv4Address(self.host).is_loopback

    @property
    def client_host(self) -> str:
        """The address under which this host reaches the server."""
        return LOOPBACK if ipaddress.IPv4Address(self.host).is_unspecified else self.host
