"""`encserve fill-mask`: the likeliest tokens for the masks of texts, as JSON lines."""

import argparse
from dataclasses import asdict

from encserve._commands.json_lines import print_texts
from encserve._commands.server_arguments import open_client
from encserve._commands.text_arguments import add_pipeline_arguments, add_texts, texts_of
from encserve._results import MaskFills

SUMMARY = "find the likeliest tokens for masks in texts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_texts(parser)
    add_pipeline_arguments(parser)
    parser.add_argument("--top-k", type=int, metavar="K", help="how many tokens for each mask (default: 5)")


def run(arguments: argparse.Namespace) -> int:
    """Fill the masks."""
    with open_client(arguments) as client:
        answer = client.fill_mask(
            texts_of(arguments),
            model=arguments.model,
            top_k=arguments.top_k,
            truncate=arguments.truncate,
            timeout_s=arguments.timeout_s,
        )
    print_texts(answer, _fields)
    return 0


def _fields(answer: MaskFills, row: int) -> dict[str, object]:
    return {"masks": [[asdict(fill) for fill in fills] for fills in answer.masks[row]]}
