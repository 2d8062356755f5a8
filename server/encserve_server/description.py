"""What `encserve serve` says of what it serves."""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from encserve import PipelineInfo
    from encserve_server.launcher.gateway import GatewayBeside
    from encserve_server.launcher.server import TritonServer


def describe(server: "TritonServer", gateway: "GatewayBeside | None" = None) -> str:
    """Return lines that say what is served, where, and how it is stopped."""
    return "\n".join(
        [
            *pipeline_table(server.pipelines),
            *_builds(server),
            "",
            f"gRPC     {server.grpc_url}{_encryption(server)}",
            f"HTTP     {server.http_url}",
            f"metrics  {server.metrics_url}",
            *([f"gateway  {gateway.url}"] if gateway else []),
            "",
            f"Ctrl-C or `kill {os.getpid()}` stops it",
        ]
    )


def _builds(server: "TritonServer") -> list[str]:
    """Return what became of plans of what is served that were built in the background, where there is anything to say:
    of one that failed nobody else tells before the next export."""
    from encserve_repository.builds import build_of

    said = []
    for pipeline in server.pipelines:
        with suppress(OSError):  # as where the work folder is another user's
            said.append(str(build_of(server.config.repository, pipeline.name)))
    return [line for line in said if line]


def _encryption(server: "TritonServer") -> str:
    if server.config.tls is None:
        return ""
    return " (mutual TLS)" if server.config.tls.client_ca else " (TLS)"


def pipeline_table(pipelines: Sequence["PipelineInfo"]) -> list[str]:
    """Return one line for each pipeline under a line of titles, in columns."""
    rows = [("pipeline", "version", "task", "precision", "engine", "tokens per text", "texts, tokens per request")]
    for each in pipelines:
        per_request = f"{each.max_texts_per_request}, {each.max_tokens_per_request}"
        rows.append(
            (each.name, each.version, each.task, each.precision, each.engine, str(each.max_length), per_request)
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
