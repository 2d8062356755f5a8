"""`encserve canary`: let another version of a pipeline answer a share of the callers."""

import argparse

from encserve_server.administration.administered import administered
from encserve_server.administration.candidacy import Candidacy
from encserve_server.candidate_arguments import act, add_candidate_arguments, check

SUMMARY = "let another version of a pipeline answer a share of the callers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_candidate_arguments(parser, share="of the callers", end="let the active version answer all callers again")


def run(arguments: argparse.Namespace) -> int:
    """Begin, change or end a canary. Raises PromotionFailed, and then the version that served goes on serving."""
    check(arguments)
    with administered(Candidacy, arguments) as candidacy:
        act(
            arguments,
            begin=candidacy.canary,
            end=candidacy.end_canary,
            end_stopped=candidacy.end_canary_stopped,
        )
    return 0
