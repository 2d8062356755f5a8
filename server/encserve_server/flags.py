"""The command line of `tritonserver`, as one pure function."""

from collections.abc import Iterable
from pathlib import Path

from encserve_server.config import ServeConfig


def triton_flags(
    config: ServeConfig,
    *,
    pipelines: Iterable[str],
    shm_prefix: str,
    has_gpu: bool,
    backend_folder: Path | None = None,
    cache_folder: Path | None = None,
) -> list[str]:
    """Build the arguments of `tritonserver`.

    `shm_prefix` begins the name of every shared-memory region of the Python backend, so that the regions of a server
    that was killed can be told from those of others. The folders are needed where Triton is not installed as a whole.
    """
    flags = [
        f"--model-repository={config.repository}",
        "--model-control-mode=explicit",  # serve what is named, and nothing that appears later
        *(f"--load-model={name}" for name in pipelines),  # an ensemble brings its steps
        "--disable-auto-complete-config",
        "--exit-on-error=true",
        f"--http-address={config.host}",
        f"--grpc-address={config.host}",
        f"--metrics-address={config.host}",
        f"--http-port={config.http_port}",
        f"--grpc-port={config.grpc_port}",
        f"--metrics-port={config.metrics_port}",
        f"--exit-timeout-secs={config.exit_timeout_s}",
        f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
        f"--log-info={str(config.verbose).lower()}",
        "--log-format=ISO8601",
    ]
    if not has_gpu:  # each of these warns about a missing driver otherwise
        flags += ["--allow-gpu-metrics=false", "--enable-peer-access=false", "--pinned-memory-pool-byte-size=0"]
    if backend_folder is not None:
        flags.append(f"--backend-directory={backend_folder}")
    if cache_folder is not None:
        flags.append(f"--cache-directory={cache_folder}")
    return flags
