"""`encserve classify-tokens`: the entities of texts, as JSON lines."""

import argparse
from dataclasses import asdict

from encserve._commands.json_lines import print_texts
from encserve._commands.server_arguments import open_client
from encserve._commands.text_arguments import add_pipeline_arguments, add_texts, add_windows, texts_of
from encserve._results import TokenClassifications
from encserve._verbs.classify_tokens import AGGREGATIONS

SUMMARY = "find the entities of texts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_texts(parser)
    add_pipeline_arguments(parser)
    add_windows(parser)
    parser.add_argument("--aggregation", choices=AGGREGATIONS, help="how tokens become words and entities")


def run(arguments: argparse.Namespace) -> int:
    """Find the entities."""
    with open_client(arguments) as client:
        answer = client.classify_tokens(
            texts_of(arguments),
            model=arguments.model,
            aggregation=arguments.aggregation,
            truncate=arguments.truncate,
            long_text=arguments.long_text,
            overlap=arguments.overlap,
            timeout_s=arguments.timeout_s,
        )
    print_texts(answer, _fields)
    return 0


def _fields(answer: TokenClassifications, row: int) -> dict[str, object]:
    return {"entities": [asdict(entity) for entity in answer.entities[row]]}
