"""`encserve classify`: texts to labels, as JSON lines."""

import argparse

from encserve._commands.json_lines import print_texts
from encserve._commands.server_arguments import open_client
from encserve._commands.text_arguments import add_pipeline_arguments, add_texts, add_windows, texts_of
from encserve._errors import InvalidInput
from encserve._results import Classifications

SUMMARY = "give texts labels, of the model or, with --label, your own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_texts(parser)
    add_pipeline_arguments(parser)
    add_windows(parser)
    parser.add_argument("--pair", action="append", metavar="TEXT", help="the second text of each, for a model of pairs")
    parser.add_argument("--top-k", type=int, metavar="K", help="how many labels for each text (default: all)")
    zero_shot = parser.add_argument_group("for a zero-shot-classification pipeline")
    zero_shot.add_argument("--label", action="append", metavar="LABEL", help="a label to choose from; repeatable")
    zero_shot.add_argument("--multi-label", action="store_true", help="judge each label by itself")
    zero_shot.add_argument("--hypothesis-template", metavar="TEMPLATE", help="a sentence with {} where the label goes")


def run(arguments: argparse.Namespace) -> int:
    """Classify the texts."""
    options = {"model": arguments.model, "truncate": arguments.truncate, "timeout_s": arguments.timeout_s}
    texts = list(texts_of(arguments))
    with open_client(arguments) as client:
        if arguments.label is None:
            if arguments.multi_label or arguments.hypothesis_template:
                raise InvalidInput("--multi-label and --hypothesis-template need --label")
            answer = client.classify(
                texts,
                text_pairs=arguments.pair,
                top_k=arguments.top_k,
                long_text=arguments.long_text,
                overlap=arguments.overlap,
                **options,
            )
        else:
            if arguments.pair or arguments.top_k or arguments.long_text or arguments.overlap is not None:
                raise InvalidInput("--pair, --top-k, --long-text and --overlap do not go with --label")
            answer = client.classify_zero_shot(
                texts,
                arguments.label,
                multi_label=arguments.multi_label or None,
                hypothesis_template=arguments.hypothesis_template,
                **options,
            )
    print_texts(answer, _fields)
    return 0


def _fields(answer: Classifications, row: int) -> dict[str, object]:
    return {"labels": answer.labels[row], "scores": answer.scores[row].tolist()}
