"""`encserve score`: how likely texts are to a masked language model, as JSON lines."""

import argparse

from encserve._commands.json_lines import print_texts
from encserve._commands.server_arguments import open_client
from encserve._commands.text_arguments import add_pipeline_arguments, add_texts, texts_of
from encserve._results import TextScores

SUMMARY = "tell how likely texts are to a masked language model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_texts(parser)
    add_pipeline_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score the texts."""
    with open_client(arguments) as client:
        answer = client.score(
            texts_of(arguments),
            model=arguments.model,
            truncate=arguments.truncate,
            timeout_s=arguments.timeout_s,
        )
    print_texts(answer, _fields)
    return 0


def _fields(answer: TextScores, row: int) -> dict[str, object]:
    return {
        "log_likelihood": float(answer.log_likelihoods[row]),
        "scored_count": int(answer.scored_counts[row]),
    }
