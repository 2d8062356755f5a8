"""`encserve compare`: may one pipeline take the place of another, and does an index have to be made anew?"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from encserve import InvalidInput
from encserve._commands.server_arguments import add_server_arguments, open_client

if TYPE_CHECKING:
    from .side import Side

SUMMARY = "compare the answers of two pipelines on your texts"
TIMEOUT_S = 600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("old", help="the pipeline that is in use")
    parser.add_argument("new", help="the pipeline that may take its place")
    parser.add_argument("--new-url", metavar="URL", help="where the new one is served, if not beside the old one")
    parser.add_argument(
        "--texts",
        type=Path,
        required=True,
        metavar="FILE",
        help="a text a line, or JSON lines in FILE.jsonl with text, and id or label",
    )
    parser.add_argument(
        "--queries",
        type=Path,
        metavar="FILE",
        help="what is searched for: a query a line, or JSON lines with text and relevant, a list of ids of texts; "
        "without it up to 1,000 of the texts look for the others",
    )
    parser.add_argument(
        "--threshold",
        type=_cosine,
        action="append",
        default=[],
        metavar="COSINE",
        help="a threshold of similarity to move to the new pipeline; repeatable",
    )
    parser.add_argument(
        "--plan", type=Path, metavar="FILE.json", help="of `encserve plan` for the new one, for the price"
    )
    parser.add_argument(
        "--report", type=Path, default=Path("compare.html"), metavar="FILE.html", help="the page (default: %(default)s)"
    )
    add_server_arguments(parser, timeout_s=TIMEOUT_S)


def _cosine(given: str) -> float:
    value = float(given)
    if not -1 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{given} is no cosine: it must be between -1 and 1")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Compare, print the verdict, write the page."""
    from .cost import read_plan, reembedding
    from .embeddings import compare_embeddings
    from .labels import compare_labels
    from .page import embeddings_page, labels_page, write
    from .reading import read_texts
    from .verdict import of_embeddings, of_labels

    texts = read_texts(arguments.texts)
    queries = read_texts(arguments.queries) if arguments.queries else None
    replica = read_plan(arguments.plan) if arguments.plan else None
    _check_report(arguments.report)
    with ExitStack() as stack:
        sides = _sides(arguments, stack)
        if sides[0].pipeline.task == "text-classification":
            _refuse_options_of_vectors(arguments)
            labels = compare_labels(sides, texts)
            lines, page = of_labels(labels), labels_page(sides, texts, labels)
        else:
            found = compare_embeddings(sides, texts, queries, arguments.threshold)
            moved = reembedding(len(texts.texts), found.asked, replica)
            lines, page = of_embeddings(found, moved), embeddings_page(sides, found, moved)
    for line in lines:
        print(f"{line.topic:<22}  {line.figure:<28}  {line.detail}".rstrip())
    write(page, arguments.report)
    print(f"report: {arguments.report}")
    return 0


def _refuse_options_of_vectors(arguments: argparse.Namespace) -> None:
    for name in ("queries", "threshold", "plan"):
        if getattr(arguments, name):
            raise InvalidInput(f"--{name} is for pipelines of vectors, and {arguments.old!r} is a classifier")


def _sides(arguments: argparse.Namespace, stack: ExitStack) -> tuple[Side, Side]:
    """Both pipelines, which must do one task that can be compared."""
    from .side import Side

    client = stack.enter_context(open_client(arguments))
    beside = client
    if arguments.new_url:
        elsewhere = argparse.Namespace(**{**vars(arguments), "url": arguments.new_url})
        beside = stack.enter_context(open_client(elsewhere))
    old, new = Side.of("old", client, arguments.old), Side.of("new", beside, arguments.new)
    for side in (old, new):
        if side.pipeline.task not in ("feature-extraction", "text-classification") or side.pipeline.pairs:
            task = f"{side.pipeline.task} of pairs" if side.pipeline.pairs else side.pipeline.task
            raise InvalidInput(
                f"{side.pipeline.name!r} does {task}; what can be compared is feature-extraction and "
                "text-classification of single texts"
            )
    if old.pipeline.task != new.pipeline.task:
        raise InvalidInput(
            f"{old.pipeline.name!r} does {old.pipeline.task} and {new.pipeline.name!r} does {new.pipeline.task}"
        )
    return old, new


def _check_report(path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidInput(f"the report {path} cannot be written: it is a folder, or its folder is not there")
