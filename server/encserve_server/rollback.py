"""`encserve rollback`: serve again the version that was promoted away last."""

import argparse

from encserve_server.administration.administered import add_repository, administered, where_it_runs
from encserve_server.administration.promotion import Promotion

SUMMARY = "serve again the version of a pipeline that was promoted away last"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="the pipeline")
    add_repository(parser)


def run(arguments: argparse.Namespace) -> int:
    """Roll the pipeline back; where no server runs on the repository, for the next start. Raises PromotionFailed, and
    then the version that served goes on serving."""
    with administered(Promotion, arguments) as promotion:
        where_it_runs(promotion.rollback, promotion.rollback_stopped)
    return 0
