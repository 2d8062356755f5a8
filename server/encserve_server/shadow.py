"""`encserve shadow`: have gateways ask another version again a share of their traffic, and count what differs."""

import argparse

from encserve_server.administration.administered import administered
from encserve_server.administration.candidacy import Candidacy
from encserve_server.candidate_arguments import act, add_candidate_arguments, check

SUMMARY = "have gateways ask another version again a share of their traffic, and count what differs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_candidate_arguments(parser, share="of the traffic", end="ask it nothing again")


def run(arguments: argparse.Namespace) -> int:
    """Begin, change or end a shadow. Raises PromotionFailed, and then the version that served goes on serving."""
    check(arguments)
    with administered(Candidacy, arguments) as candidacy:
        act(
            arguments,
            begin=candidacy.shadow,
            end=candidacy.end_shadow,
            end_stopped=candidacy.end_shadow_stopped,
        )
    return 0
