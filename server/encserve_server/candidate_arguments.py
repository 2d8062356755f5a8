"""The arguments of the commands that begin and end a candidacy, and what they mean."""

import argparse
import math
from collections.abc import Callable

from encserve import InvalidInput
from encserve_server.administration.administered import add_repository, where_it_runs


def add_candidate_arguments(parser: argparse.ArgumentParser, *, share: str, end: str) -> None:
    """Declare them; `share` and `end` say what the two options do."""
    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument("version", type=int, nargs="?", metavar="VERSION", help="a version in the repository")
    parser.add_argument("--share", type=share_of, metavar="SHARE", help=f"{share}, such as 5%% or 0.05; 0 is --end")
    parser.add_argument("--end", action="store_true", help=end)
    add_repository(parser)


def check(arguments: argparse.Namespace) -> None:
    """Refuse arguments that lack something or contradict each other. Raises InvalidInput."""
    if arguments.end and arguments.share:
        raise InvalidInput("--share and --end contradict each other")
    if arguments.end and arguments.version is not None:
        raise InvalidInput("--end is of the candidate, whichever version it is: leave VERSION out")
    if not arguments.end and (arguments.share is None or (arguments.share and arguments.version is None)):
        raise InvalidInput("say which VERSION is to have which --share, or --end")


def act(
    arguments: argparse.Namespace,
    *,
    begin: Callable[[int, float], None],
    end: Callable[[], None],
    end_stopped: Callable[[], None],
) -> None:
    """Do what the arguments say; where no server runs on the repository, an end is of its next start."""
    if arguments.end or not arguments.share:
        where_it_runs(end, end_stopped)
    else:
        begin(arguments.version, arguments.share)


def share_of(given: str) -> float:
    """Return a share of 1 out of "5%" or "0.05", for a parser of arguments. Raises ArgumentTypeError."""
    number = given.strip().removesuffix("%")
    try:
        share = float(number) / (1 if number == given.strip() else 100)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{given} is no share: it must be between 0 and 1, or 0% and 100%")
    return share
