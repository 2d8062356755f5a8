"""`encserve promote`: serve another version of a pipeline, without a failed request."""

import argparse
from pathlib import Path

from encserve import InvalidInput
from encserve_server.administration.administered import add_repository, administered
from encserve_server.administration.promotion import Promotion
from encserve_server.candidate_arguments import share_of

SUMMARY = "serve another version of a pipeline, once it has answered beside the one that serves"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument("version", type=int, metavar="VERSION", help="a version in the repository")
    watch = parser.add_argument_group(
        "watch",
        "let it answer a share of the callers, then all, and go back where it does worse than the version before",
    )
    watch.add_argument("--watch", metavar="TIME", help="how long, such as 30m; a sixth of it with a share")
    watch.add_argument("--share", type=share_of, metavar="SHARE", help="of the callers, at first (default: 10%%)")
    watch.add_argument("--metrics-url", metavar="URL", help="the server's metrics (default: port 8002 of its host)")
    watch.add_argument("--report", type=Path, metavar="FILE.html", help="the evidence (default: watch.html)")
    add_repository(parser)


def run(arguments: argparse.Namespace) -> int:
    """Promote the version. Raises PromotionFailed, and then the version that served goes on serving."""
    if arguments.watch is not None:
        try:
            from encserve_server.administration import watch_command
        except ModuleNotFoundError as error:
            needs = f"--watch needs {error.name}: pip install '.[lifecycle]' in a clone of encserve"
            raise InvalidInput(needs) from error
        return watch_command.run(arguments)
    for option in ("share", "metrics_url", "report"):
        if getattr(arguments, option) is not None:
            raise InvalidInput(f"--{option.replace('_', '-')} is for --watch")
    with administered(Promotion, arguments) as promotion:
        promotion.promote(arguments.version)
    return 0
