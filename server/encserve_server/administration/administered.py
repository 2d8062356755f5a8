"""The arguments of a command about the versions of a pipeline, and what acts on them."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from encserve import Client, Overloaded, Unavailable
from encserve._commands.server_arguments import access_of, add_server_arguments
from encserve_server.administration.channel import Administration
from encserve_server.administration.version_beside import VersionBeside

Administered = TypeVar("Administered", bound=VersionBeside)


def add_repository(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that name the repository and its server."""
    parser.add_argument(
        "--repository",
        type=Path,
        default=Path("model_repository"),
        metavar="FOLDER",
        help="the one that the server serves (default: %(default)s)",
    )
    add_server_arguments(parser)


@contextmanager
def administered(kind: type[Administered], arguments: argparse.Namespace) -> Iterator[Administered]:
    """Yield what acts on the versions of the pipeline that the arguments name."""
    access = access_of(arguments)
    administration = Administration(arguments.url, tls=access.tls, admin_secret=access.admin_secret)
    with Client(timeout_s=arguments.timeout_s, transport=administration) as client:
        yield kind(
            arguments.repository,
            arguments.name,
            administration=administration,
            client=client,
            report=tell,
        )


def where_it_runs(act: Callable[[], object], act_stopped: Callable[[], object]) -> None:
    """Do what is done on a server that answers, and else what is done for its next start."""
    try:
        act()
    except Unavailable as error:
        if isinstance(error, Overloaded):  # which a server has said that is there
            raise
        act_stopped()


def tell(line: str) -> None:
    """Say on stderr what is done. Where nobody reads that any more, it is done all the same."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)
