"""`encserve health`: ask every pipeline a real question, for the health checks of containers and supervisors.

Triton's own readiness says "ready" for a model whose process has died, so nothing less than an answer counts. Where the
secret of the server is known, as on its own host, the question is let in however much waits; elsewhere a server that is
overloaded may refuse it, which is another exit code than silence.
"""

import argparse
import sys

from encserve import Client, EncserveError, PipelineInfo, Unavailable
from encserve._commands.server_arguments import access_of, add_server_arguments
from encserve_server.errors import Unhealthy
from encserve_server.questions import ask, open_asker

SUMMARY = "ask every pipeline of a server a real question; exit code 0 if all answer, 3 if one only refuses, else 1"

DEFAULT_TIMEOUT_S = 5.0

EXIT_REFUSED = 3
"""The exit code where every pipeline lives, and one refuses the question, because too much waits: no reason to start
anything again."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME", help="ask this pipeline; repeatable; default: all"
    )
    add_server_arguments(parser, timeout_s=DEFAULT_TIMEOUT_S)


def run(arguments: argparse.Namespace) -> int:
    """Ask every pipeline, and print which of them answered. Returns 0, or `EXIT_REFUSED`.

    Raises:
        Unhealthy: a pipeline is not served, or gave no answer in time.
        EncserveError: the server did not even list its pipelines.
    """
    with open_client(arguments) as client:
        served = {pipeline.name: pipeline for pipeline in client.models()}
        names = arguments.model or list(served)
        if not names:
            raise Unhealthy(f"{arguments.url} serves no pipeline")
        for name in names:
            if name not in served:
                raise Unhealthy(f"{arguments.url} serves no pipeline {name!r}; it serves {', '.join(served) or 'none'}")
        answers = [_answers(client, served[name]) for name in names]
    return 0 if all(answers) else EXIT_REFUSED


def open_client(arguments: argparse.Namespace) -> Client:
    """Return a client of the server, for questions of health."""
    access = access_of(arguments)
    return open_asker(
        arguments.url,
        tls=access.tls,
        timeout_s=arguments.timeout_s,
        api_key=access.api_key,
        admin_secret=access.admin_secret,
    )


def _answers(client: Client, pipeline: PipelineInfo) -> bool:
    """Return whether a pipeline answers; if not, it lives and refuses. Raises Unhealthy if it does neither."""
    try:
        ask(client, pipeline)
    except EncserveError as error:
        if not _is_refusal(error):
            raise Unhealthy(f"{pipeline.name} does not answer: {error}") from error
        client.models()  # which fails where the server has gone meanwhile
        print(f"{pipeline.name} version {pipeline.version} refuses: {error}", file=sys.stderr)
        return False
    print(f"{pipeline.name} version {pipeline.version} answers")
    return True


def _is_refusal(error: EncserveError) -> bool:
    """Return whether the door, or a gateway, turned the question away: the server has just listed its pipelines, and of
    a process that died Triton says INTERNAL."""
    return isinstance(error, Unavailable) and error.status in ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
