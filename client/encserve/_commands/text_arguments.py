"""The texts that a command is about, from the command line or from standard input, and the arguments beside them."""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator

from encserve._commands.server_arguments import add_server_arguments
from encserve._errors import InvalidInput


def add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which pipeline of which server is asked."""
    parser.add_argument("--model", required=True, metavar="NAME", help="the pipeline, as `encserve models` lists it")
    add_server_arguments(parser)


def add_texts(parser: argparse.ArgumentParser, *, name: str = "TEXT") -> None:
    """Declare the texts."""
    article = "a" if name == "TEXT" else "one"
    parser.add_argument(
        "texts", nargs="*", metavar=name, help=f"{article} {name.lower()}; a single - reads one per line from stdin"
    )


def texts_of(arguments: argparse.Namespace) -> Iterable[str]:
    """The texts, as they come.

    Raises:
        InvalidInput: there are none.
    """
    texts: list[str] = arguments.texts
    if texts == ["-"]:
        # A reader of our own: a thread that waits for a line holds its lock, and Python aborts where it ends and finds
        # that of `sys.stdin` held.
        return _some(read_lines(os.fdopen(sys.stdin.fileno(), "rb", closefd=False)))
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
