"""`encserve health`: ask every pipeline a real question, for the health checks of containers and supervisors.

Triton's own readiness says "ready" for a model whose process has died, so nothing less than an answer counts.
"""

import argparse

from encserve import EncserveError, Retry
from encserve._commands.server_arguments import add_server_arguments, open_client
from encserve_server.errors import Unhealthy
from encserve_server.readiness import ask

SUMMARY = "ask every pipeline of a server a real question; exit code 0 if all answer"

DEFAULT_TIMEOUT_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME", help="ask this pipeline; repeatable; default: all"
    )
    add_server_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print who answered.

    Raises:
        Unhealthy: a pipeline is not served, or gave no answer in time.
        EncserveError: the server did not even list its pipelines.
    """
    timeout_s = arguments.timeout_s or DEFAULT_TIMEOUT_S
    with open_client(arguments, timeout_s=timeout_s, retry=Retry(attempts=1)) as client:
        served = {pipeline.name: pipeline for pipeline in client.models()}
        names = arguments.model or list(served)
        if not names:
            raise Unhealthy(f"{arguments.url} serves no pipeline")
        for name in names:
            if name not in served:
                raise Unhealthy(f"{arguments.url} serves no pipeline {name!r}; it serves {', '.join(served) or 'none'}")
            try:
                ask(client, served[name])
            except EncserveError as error:
                raise Unhealthy(f"{name} does not answer: {error}") from error
            print(f"{name} version {served[name].version} answers")
    return 0
