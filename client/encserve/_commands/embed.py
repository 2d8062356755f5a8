"""`encserve embed`: texts to vectors, as JSON lines or as a numpy file."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from encserve._client import Client
from encserve._errors import InvalidInput
from encserve._protocol import TRUNCATIONS
from encserve._results import Embeddings
from encserve._settings import DEFAULT_URL

SUMMARY = "embed texts, from the command line or from standard input"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="a text; a single - reads one per line from stdin")
    parser.add_argument("--model", required=True, metavar="NAME", help="the pipeline, as `encserve models` lists it")
    parser.add_argument("--url", default=DEFAULT_URL, help="gRPC endpoint of the server (default: %(default)s)")
    parser.add_argument("--prompt-name", metavar="NAME", help="the prompt to put before each text")
    parser.add_argument("--truncate", choices=TRUNCATIONS, help="which end of a text to cut when it is too long")
    parser.add_argument("--dimensions", type=int, metavar="N", help="shorten the vectors to N numbers")
    parser.add_argument("--no-normalize", action="store_true", help="leave the vectors at the length the model gives")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE.npy",
        help="write float32 vectors, one row per text, in place of JSON lines",
    )
    parser.add_argument("--timeout-s", type=float, help="seconds that a request may take (default: 30)")


def run(arguments: argparse.Namespace) -> int:
    """Embed the texts."""
    options: dict[str, Any] = {
        "model": arguments.model,
        "prompt_name": arguments.prompt_name,
        "truncate": arguments.truncate,
        "dimensions": arguments.dimensions,
        "normalize": False if arguments.no_normalize else None,
        "timeout_s": arguments.timeout_s,
    }
    texts = _texts(arguments.texts)
    if arguments.output and not arguments.output.parent.is_dir():
        raise InvalidInput(f"cannot write {arguments.output}: there is no folder {arguments.output.parent}")
    with Client(arguments.url) as client:
        if arguments.output is None:
            _print_lines(client.embed_iter(texts, **options))
        else:
            _write_file(arguments.output, client.embed(texts, **options))
    return 0


def _texts(texts: list[str]) -> Iterable[str]:
    if texts == ["-"]:
        return _some(read_lines(sys.stdin.buffer))
    if not texts:
        raise InvalidInput("no text: give one or more, or - to read one per line from standard input")
    return texts


def _some(texts: Iterator[str]) -> Iterator[str]:
    first = next(texts, None)
    if first is None:
        raise InvalidInput("no text: standard input is empty")
    yield first
    yield from texts


def read_lines(stream: Iterable[bytes]) -> Iterator[str]:
    """The lines of a binary stream, without their ends.

    Raises:
        InvalidInput: a line is not UTF-8; the message names the line and the byte in it, both from 1.
    """
    for number, line in enumerate(stream, start=1):
        try:
            yield line.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"line {number} of standard input is not UTF-8 at byte {error.start + 1}") from error


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


class Cut:
    """Counts what was cut from texts that were too long."""

    def __init__(self) -> None:
        self._all = self._texts = self._tokens = 0

    def add(self, part: Embeddings) -> None:
        """Count the rows of a part."""
        self._all += len(part)
        self._texts += int(np.count_nonzero(part.dropped_counts))
        self._tokens += int(part.dropped_counts.sum(dtype=np.int64))

    def report(self) -> None:
        """Say it on stderr, if there was any."""
        if self._texts:
            count = f"{self._texts} of {self._all} texts were too long"
            print(f"encserve: {count}: {self._tokens} tokens were cut", file=sys.stderr)
