"""`encserve classify`: texts to labels, as JSON lines."""

import argparse

from encserve._commands.json_lines import print_texts
from encserve._commands.options import add_options, given_options
from encserve._commands.server_arguments import open_client
from encserve._commands.text_arguments import add_pipeline_arguments, add_texts, texts_of
from encserve._errors import InvalidInput
from encserve._results import Classifications
from encserve._verbs.classify import CLASSIFY
from encserve._verbs.classify_zero_shot import CLASSIFY_ZERO_SHOT

SUMMARY = "give texts labels, of the model or, with --label, your own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_texts(parser)
    add_pipeline_arguments(parser)
    add_options(parser, CLASSIFY)
    parser.add_argument("--pair", action="append", metavar="TEXT", help="the second text of each, for a model of pairs")
    zero_shot = parser.add_argument_group("for a zero-shot-classification pipeline")
    zero_shot.add_argument("--label", action="append", metavar="LABEL", help="a label to choose from; repeatable")
    add_options(zero_shot, CLASSIFY_ZERO_SHOT, without=tuple(CLASSIFY.options))


def run(arguments: argparse.Namespace) -> int:
    """Classify the texts."""
    texts = list(texts_of(arguments))
    model, options, own = (
        arguments.model,
        given_options(arguments, CLASSIFY),
        given_options(arguments, CLASSIFY_ZERO_SHOT),
    )
    with open_client(arguments) as client:
        if arguments.label is None:
            _refuse(own.keys() - options.keys(), "need --label")
            answer = client.classify(texts, text_pairs=arguments.pair, model=model, **options)
        else:
            _refuse({*(options.keys() - own.keys()), *(["pair"] if arguments.pair else [])}, "do not go with --label")
            answer = client.classify_zero_shot(texts, arguments.label, model=model, **own)
    print_texts([answer], _fields)
    return 0


def _refuse(names: set[str], why: str) -> None:
    if names:
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in sorted(names))
        raise InvalidInput(f"{flags} {why}")


def _fields(answer: Classifications, row: int) -> dict[str, object]:
    fields: dict[str, object] = {"labels": answer.labels[row], "scores": answer.scores[row].tolist()}
    if answer.probabilities is not None:
        fields["probabilities"] = answer.probabilities[row].tolist()
    if answer.decisions is not None:
        fields["decision"] = answer.decisions[row]
    return fields
