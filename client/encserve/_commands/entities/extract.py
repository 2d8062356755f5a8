"""`encserve extract-entities`: the entities of texts, of labels of your own, as JSON lines."""

import argparse
from dataclasses import asdict

from encserve._commands.json_lines import print_texts
from encserve._commands.options import add_options, given_options
from encserve._commands.server_arguments import open_client
from encserve._commands.text_arguments import add_pipeline_arguments, add_texts, texts_of
from encserve._verbs.entities.extract import EXTRACT_ENTITIES

SUMMARY = "find the entities of texts, of labels of your own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_texts(parser)
    add_pipeline_arguments(parser)
    parser.add_argument("--label", action="append", metavar="LABEL", required=True, help="a label; may be given again")
    add_options(parser, EXTRACT_ENTITIES)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print."""
    options = given_options(arguments, EXTRACT_ENTITIES)
    with open_client(arguments) as client:
        answer = client.extract_entities(texts_of(arguments), arguments.label, model=arguments.model, **options)
    print_texts([answer], lambda found, row: {"entities": [asdict(entity) for entity in found.entities[row]]})
    return 0
