"""The command line of `tritonserver`, as pure functions."""

from collections.abc import Iterable
from pathlib import Path

from encserve import ADMIN_KEY
from encserve_server.config import ServeConfig
from encserve_server.steps.request.traceparent import PARAMETER as TRACEPARENT

ADMIN_GROUPS = ("model-repository", "shared-memory", "logging", "trace", "statistics")
"""Groups of Triton's endpoints that callers of models do not need. `model-config` stays open: from it every client
reads the limits of a pipeline, its labels and its certificate, and it changes nothing."""

CONNECTION_AGE_S = 120
"""After so many seconds a client has to connect again, and looks its replicas up as it does: gRPC never asks DNS again
while its connections are well, and a replica that came later would get no work. There is no grace period, which would
end the calls that are in flight by then, and Triton of 2024 can die of a call that is cancelled."""


def triton_flags(
    config: ServeConfig,
    *,
    pipelines: Iterable[str],
    shm_prefix: str,
    admin_secret: str,
    has_gpu: bool,
) -> list[str]:
    """Return the arguments of `tritonserver`.

    `shm_prefix` begins the name of every shared-memory region of the Python backend, so that the regions of a server
    that was killed can be told from those of others. `admin_secret` opens the groups of `ADMIN_GROUPS`.
    """
    flags = [
        f"--model-repository={config.repository}",
        "--model-control-mode=explicit",  # serve what is named, and nothing that appears later
        *(f"--load-model={name}" for name in pipelines),  # an ensemble brings its steps
        "--disable-auto-complete-config",
        "--exit-on-error=true",
        f"--http-address={config.http_host}",
        f"--grpc-address={config.host}",
        f"--metrics-address={config.metrics_address}",
        f"--http-port={config.http_port}",
        f"--grpc-port={config.grpc_port}",
        f"--grpc-max-connection-age={CONNECTION_AGE_S * 1_000}",  # milliseconds
        f"--metrics-port={config.metrics_port}",
        f"--exit-timeout-secs={config.exit_timeout_s}",
        f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
        f"--log-info={str(config.verbose).lower()}",
        "--log-format=ISO8601",
        *restriction_flags(admin_secret),
        *(header_flags() if config.otlp else ()),
        *(config.tls.flags() if config.tls else ()),
    ]
    if not has_gpu:  # each of these warns about a missing driver otherwise
        flags += ["--allow-gpu-metrics=false", "--enable-peer-access=false", "--pinned-memory-pool-byte-size=0"]
    return flags


def wheel_flags(*, backend_folder: Path, cache_folder: Path) -> list[str]:
    """Return the arguments of a `tritonserver` that is not installed as a whole."""
    return [f"--backend-directory={backend_folder}", f"--cache-directory={cache_folder}"]


def header_flags() -> list[str]:
    """Return the arguments that hand the header `traceparent` of a request to its steps, as a parameter. Names of
    headers have no case. Triton looks for the pattern anywhere in a name, and there are `elastic-apm-traceparent` and
    others, which would be unknown options."""
    return [f"--{protocol}-header-forward-pattern=(?i)^{TRACEPARENT}$" for protocol in ("grpc", "http")]


def restriction_flags(admin_secret: str) -> list[str]:
    """Return the arguments that refuse the groups of `ADMIN_GROUPS` to callers without the secret.

    A colon ends the groups, although `tritonserver --help` of 24.10 shows a comma, which the same server refuses.
    """
    rule = f"{','.join(ADMIN_GROUPS)}:{ADMIN_KEY}={admin_secret}"
    return [f"--grpc-restricted-protocol={rule}", f"--http-restricted-api={rule}"]
