"""`encserve answer`: the spans of a context that answer a question, as JSON lines."""

import argparse
import json
import sys
from dataclasses import asdict

from encserve._commands.options import add_options, given_options
from encserve._commands.server_arguments import open_client
from encserve._commands.text_arguments import add_pipeline_arguments
from encserve._errors import InvalidInput
from encserve._verbs.answer import ANSWER

SUMMARY = "find the spans of a text that answer a question"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("context", metavar="CONTEXT", help="the text that may hold the answer; - reads all of stdin")
    add_pipeline_arguments(parser)
    parser.add_argument("--question", required=True, metavar="TEXT")
    add_options(parser, ANSWER)


def run(arguments: argparse.Namespace) -> int:
    """Answer the question."""
    with open_client(arguments) as client:
        answers = client.answer(
            arguments.question,
            _read_stdin() if arguments.context == "-" else arguments.context,
            model=arguments.model,
            **given_options(arguments, ANSWER),
        )
    for span in answers.spans[0]:
        print(json.dumps(asdict(span), ensure_ascii=False))
    return 0


def _read_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"standard input is not UTF-8 at byte {error.start + 1}") from error
