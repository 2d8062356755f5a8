"""`encserve embed`: texts to vectors, as JSON lines or as a numpy file."""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from encserve._commands.cut import Cut
from encserve._commands.server_arguments import open_client
from encserve._commands.text_arguments import add_pipeline_arguments, add_texts, add_windows, texts_of
from encserve._errors import InvalidInput
from encserve._results import Embeddings
from encserve._verbs.embed import OUTPUTS

SUMMARY = "embed texts, from the command line or from standard input"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_texts(parser)
    add_pipeline_arguments(parser)
    add_windows(parser)
    parser.add_argument("--prompt-name", metavar="NAME", help="the prompt to put before each text")
    parser.add_argument("--dimensions", type=int, metavar="N", help="shorten the vectors to N numbers")
    parser.add_argument("--no-normalize", action="store_true", help="leave the vectors at the length the model gives")
    parser.add_argument("--output-dtype", choices=OUTPUTS, help="type of the numbers; binary: bits, eight in a byte")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE.npy",
        help="write the vectors, one row per text, in place of JSON lines",
    )


def run(arguments: argparse.Namespace) -> int:
    """Embed the texts."""
    options: dict[str, Any] = {
        "model": arguments.model,
        "prompt_name": arguments.prompt_name,
        "truncate": arguments.truncate,
        "dimensions": arguments.dimensions,
        "normalize": False if arguments.no_normalize else None,
        "output_dtype": arguments.output_dtype,
        "long_text": arguments.long_text,
        "overlap": arguments.overlap,
        "timeout_s": arguments.timeout_s,
    }
    texts = texts_of(arguments)
    if arguments.output and not arguments.output.parent.is_dir():
        raise InvalidInput(f"cannot write {arguments.output}: there is no folder {arguments.output.parent}")
    with open_client(arguments) as client:
        if arguments.output is None:
            _print_lines(client.embed_iter(texts, **options))
        else:
            _write_file(arguments.output, client.embed(texts, **options))
    return 0


def _print_lines(parts: Iterable[Embeddings]) -> None:
    cut = Cut()
    for part in parts:
        cut.add(part)
        for row, vector in enumerate(part.vectors):
            line = {
                "index": part.start + row,
                "token_count": int(part.token_counts[row]),
                "dropped_count": int(part.dropped_counts[row]),
                "vector": vector.tolist(),
            }
            print(json.dumps(line))
        sys.stdout.flush()
    cut.report()


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
    cut = Cut()
    cut.add(embeddings)
    cut.report()
