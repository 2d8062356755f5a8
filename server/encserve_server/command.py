"""`encserve serve`: serve a model repository on this host until asked to stop."""

import argparse
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from encserve_server.config import ServeConfig
from encserve_server.errors import ServerDied

if TYPE_CHECKING:
    from encserve import PipelineInfo
    from encserve_server.server import TritonServer

SUMMARY = "serve a model repository on this host"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, with the defaults of `ServeConfig`."""
    default = ServeConfig()
    parser.add_argument(
        "--repository", type=Path, default=default.repository, metavar="FOLDER", help="default: %(default)s"
    )
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME", help="serve this pipeline; repeatable; default: all"
    )
    parser.add_argument("--host", default=default.host, help="IPv4 address to bind (default: %(default)s)")
    parser.add_argument("--http-port", type=int, default=default.http_port, help="default: %(default)s")
    parser.add_argument("--grpc-port", type=int, default=default.grpc_port, help="default: %(default)s")
    parser.add_argument("--metrics-port", type=int, default=default.metrics_port, help="default: %(default)s")
    parser.add_argument(
        "--startup-timeout-s",
        type=float,
        default=default.startup_timeout_s,
        metavar="SECONDS",
        help="how long the pipelines may take until they answer (default: %(default)g)",
    )
    parser.add_argument(
        "--exit-timeout-s",
        type=int,
        default=default.exit_timeout_s,
        metavar="SECONDS",
        help="how long requests in flight may take at the end (default: %(default)s)",
    )
    parser.add_argument("--verbose", action="store_true", help="show Triton's information messages too")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP. Returns 0 after such a stop.

    Raises:
        ServerDied: Triton ended by itself.
        EncserveError: it did not start; see `TritonServer.__enter__`.
    """
    from encserve_server.server import TritonServer, print_to_stderr  # Linux only, and gRPC takes its time to import

    config = ServeConfig(
        repository=arguments.repository,
        models=tuple(arguments.model),
        host=arguments.host,
        http_port=arguments.http_port,
        grpc_port=arguments.grpc_port,
        metrics_port=arguments.metrics_port,
        startup_timeout_s=arguments.startup_timeout_s,
        exit_timeout_s=arguments.exit_timeout_s,
        verbose=arguments.verbose,
    )
    if not config.is_loopback:
        print_to_stderr(
            f"warning: {config.host} is reachable from other hosts. Triton has no login, and releases before 26.08, "
            "such as 2.51 of the nvidia-pytriton wheel, have known holes: put it behind a firewall or use 127.0.0.1"
        )
    _interrupt_on_signals()
    try:
        with TritonServer(config) as server:
            print(describe(server), flush=True)
            try:
                server.process.wait()
            except KeyboardInterrupt:
                print_to_stderr(
                    f"stopping: requests in flight have {config.exit_timeout_s} s; Ctrl-C again ends them at once"
                )
                return 0
            raise ServerDied(server.process.describe_end())
    except KeyboardInterrupt:  # while it started, or the second one
        return 0


def describe(server: "TritonServer") -> str:
    """Say what is served, where, and how it is stopped."""
    return "\n".join(
        [
            *pipeline_table(server.pipelines),
            "",
            f"gRPC     {server.grpc_url}",
            f"HTTP     {server.http_url}",
            f"metrics  {server.metrics_url}",
            "",
            f"Ctrl-C or `kill {os.getpid()}` stops it",
        ]
    )


def pipeline_table(pipelines: Sequence["PipelineInfo"]) -> list[str]:
    """One line per pipeline under a line of titles, in columns."""
    rows = [("pipeline", "version", "task", "precision", "engine", "tokens per text", "texts, tokens per request")]
    for each in pipelines:
        per_request = f"{each.max_texts_per_request}, {each.max_tokens_per_request}"
        rows.append(
            (each.name, each.version, each.task, each.precision, each.engine, str(each.max_length), per_request)
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _interrupt_on_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and background jobs ask for
            signal.signal(number, signal.default_int_handler)
