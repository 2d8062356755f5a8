"""`encserve embed`: texts to vectors, as JSON lines or as a numpy file."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from encserve._commands.json_lines import print_texts, report_cut
from encserve._commands.options import add_options, given_options
from encserve._commands.server_arguments import open_client
from encserve._commands.text_arguments import add_pipeline_arguments, add_texts, texts_of
from encserve._errors import InvalidInput
from encserve._results import Embeddings
from encserve._verbs.embedding.embed import EMBED

SUMMARY = "embed texts, from the command line or from standard input"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_texts(parser)
    add_pipeline_arguments(parser)
    add_options(parser, EMBED)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE.npy",
        help="write the vectors, one row per text, in place of JSON lines",
    )


def run(arguments: argparse.Namespace) -> int:
    """Embed the texts."""
    options: dict[str, Any] = {"model": arguments.model, **given_options(arguments, EMBED)}
    texts = texts_of(arguments)
    if arguments.output and not arguments.output.parent.is_dir():
        raise InvalidInput(f"cannot write {arguments.output}: there is no folder {arguments.output.parent}")
    with open_client(arguments) as client:
        if arguments.output is None:
            print_texts(client.embed_iter(texts, **options), lambda part, row: {"vector": part.vectors[row].tolist()})
        else:
            _write_file(arguments.output, client.embed(texts, **options))
    return 0


def _write_file(path: Path, embeddings: Embeddings) -> None:
    """Write the whole file or none of it: a sibling first, which then takes the name."""
    sibling = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with sibling.open("wb") as file:
            np.save(file, embeddings.vectors)
        sibling.replace(path)
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}") from error
    finally:
        sibling.unlink(missing_ok=True)
    rows, dimensions = embeddings.vectors.shape
    model = f"{embeddings.model} version {embeddings.version}"
    print(f"encserve: {rows} vectors of {dimensions} numbers by {model} in {path}", file=sys.stderr)
    report_cut([embeddings])
