"""`encserve drift`: whether the texts that a pipeline gets are of the kind that its baseline was frozen of."""

import argparse
from pathlib import Path

from encserve import InvalidInput
from encserve_server.administration.administered import add_repository

SUMMARY = "say whether texts are of another kind than those of a baseline, by sums of their vectors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="the pipeline, of vectors")
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE.json",
        help="of `encserve baseline` (default: the one that the export made of its texts, in --repository)",
    )
    parser.add_argument("--window", default="1h", metavar="TIME", help="how long, such as 1h (default: %(default)s)")
    parser.add_argument("--windows", type=int, default=1, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument(
        "--prometheus",
        metavar="URL",
        help="judge the last window at once, of all servers that this Prometheus watches, such as http://host:9090",
    )
    parser.add_argument("--metrics-url", metavar="URL", help="the server's metrics (default: port 8002 of its host)")
    add_repository(parser)


def run(arguments: argparse.Namespace) -> int:
    """Judge windows of time. Returns 0, 3 or 4, as `drift_command.run` says, and raises what it does."""
    try:
        from encserve_server.administration import drift_command
    except ModuleNotFoundError as error:
        raise InvalidInput(f"drift needs {error.name}: pip install '.[lifecycle]' in a clone of encserve") from error
    return drift_command.run(arguments)
