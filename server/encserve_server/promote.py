"""`encserve promote`: serve another version of a pipeline, without a failed request."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from encserve import Client
from encserve._commands.server_arguments import access_of, add_server_arguments
from encserve_server.administration.channel import Administration
from encserve_server.administration.promotion import Promotion
from encserve_server.administration.version_beside import VersionBeside

Administered = TypeVar("Administered", bound=VersionBeside)

SUMMARY = "serve another version of a pipeline, once it has answered beside the one that serves"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument("version", type=int, metavar="VERSION", help="a version in the repository")
    add_repository(parser)


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


def run(arguments: argparse.Namespace) -> int:
    """Promote the version. Raises PromotionFailed, and then the version that served goes on serving."""
    with administered(Promotion, arguments) as promotion:
        promotion.promote(arguments.version)
    return 0


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
            report=lambda line: print(line, file=sys.stderr, flush=True),
        )
