"""`encserve answer`: the spans of a context that answer a question, as JSON lines."""

import argparse
import json
import sys
from dataclasses import asdict

from encserve._commands.server_arguments import open_client
from encserve._commands.text_arguments import add_pipeline_arguments
from encserve._errors import InvalidInput

SUMMARY = "find the spans of a text that answer a question"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("context", metavar="CONTEXT", help="the text that may hold the answer; - reads all of stdin")
    add_pipeline_arguments(parser)
    parser.add_argument("--question", required=True, metavar="TEXT")
    parser.add_argument("--top-k", type=int, metavar="K", help="how many spans (default: 1)")
    parser.add_argument("--max-answer-length", type=int, metavar="TOKENS", help="of the longest span (default: 15)")
    parser.add_argument("--overlap", type=int, metavar="TOKENS", help="that two windows of a long context share")
    parser.add_argument("--no-answer", action="store_true", help='let "no answer", an empty span, compete')


def run(arguments: argparse.Namespace) -> int:
    """Answer the question."""
    with open_client(arguments) as client:
        answers = client.answer(
            arguments.question,
            _read_stdin() if arguments.context == "-" else arguments.context,
            model=arguments.model,
            top_k=arguments.top_k,
            max_answer_length=arguments.max_answer_length,
            overlap=arguments.overlap,
            no_answer=arguments.no_answer or None,
            timeout_s=arguments.timeout_s,
        )
    for span in answers.spans[0]:
        print(json.dumps(asdict(span), ensure_ascii=False))
    return 0


def _read_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"standard input is not UTF-8 at byte {error.start + 1}") from error
