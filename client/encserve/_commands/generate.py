"""`encserve generate`: texts to new texts, one on the terminal as it is made, or several as JSON lines."""

from __future__ import annotations

import argparse
import sys

from encserve._client import Client
from encserve._commands.json_lines import print_texts
from encserve._commands.options import add_options, given_options
from encserve._commands.server_arguments import open_client
from encserve._commands.text_arguments import add_pipeline_arguments, add_texts, texts_of
from encserve._errors import InvalidInput
from encserve._verbs.generate import GENERATE

SUMMARY = "make new texts of texts, such as translations or summaries"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_texts(parser)
    parser.add_argument("--stream", action="store_true", help="print the one text as it is made, and nothing beside it")
    add_pipeline_arguments(parser)
    add_options(parser, GENERATE)


def run(arguments: argparse.Namespace) -> int:
    """Generate, and print."""
    texts, options = list(texts_of(arguments)), given_options(arguments, GENERATE)
    if arguments.stream and len(texts) > 1:
        raise InvalidInput(f"--stream prints one text as it is made, and {len(texts)} are given")
    with open_client(arguments) as client:
        if arguments.stream:
            _print_pieces(client, texts[0], arguments.model, options)
            return 0
        answer = client.generate(texts, model=arguments.model, **options)
    print_texts(
        [answer],
        lambda part, row: {
            "text": part.texts[row],
            "finish": part.finishes[row],
            "output_token_count": int(part.output_token_counts[row]),
        },
    )
    return 0


def _print_pieces(client: Client, text: str, model: str, options: dict[str, object]) -> None:
    with client.generate_stream(text, model=model, **options) as stream:  # type: ignore[arg-type]
        for piece in stream:
            print(piece, end="", flush=True)
        print()
    if stream.finish != "eos":
        print(f"encserve: the text ended by {stream.finish}", file=sys.stderr)
