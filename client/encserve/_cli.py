"""The `encserve` command. Its commands are found by entry point, so that the SDK knows none of the other packages."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from encserve._errors import EncserveError, InvalidInput
from encserve._version import __version__

DESCRIPTION = "Serve transformer encoders on NVIDIA Triton, and call them."

EXIT_FAILED = 1
EXIT_INVALID = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE


class Command(Protocol):
    """The module of a command. It imports what is heavy, or optional, only when it runs."""

    SUMMARY: str
    """One line for `encserve --help`."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it. Returns the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, 2 for a caller's mistake, 130 after Ctrl-C, 1 for other errors."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        code = _run(argv)
        sys.stdout.flush()  # here, where a broken pipe is still quiet
    except EncserveError as error:
        print(f"encserve: error: {error}", file=sys.stderr)
        return EXIT_INVALID if isinstance(error, InvalidInput) else EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader has gone, as with `| head`. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    return code


def _run(argv: Sequence[str]) -> int:
    entries = {entry.name: entry for entry in entry_points(group="encserve.commands")}
    chosen = entries.get(argv[0]) if argv else None
    if chosen is None:  # --help, --version, or a mistake
        _parser({name: _load_or_explain(entries[name]) for name in sorted(entries)}).parse_args(argv or ["--help"])
        raise InvalidInput(f"the command must come first, not {argv[0]!r}")  # "--", which newer versions let pass
    try:
        command: Command = chosen.load()
        return command.run(_parser({chosen.name: command}).parse_args(argv))
    except ModuleNotFoundError as error:
        if not _is_optional(error):
            raise
        raise EncserveError(f"{chosen.name} needs {error.name}: {_install_line(chosen)}") from error


def _parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="encserve", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"encserve {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in commands.items():
        summary = command.SUMMARY
        command.add_arguments(subparsers.add_parser(name, help=summary, description=summary))
    return parser


class _Missing:
    """Stands in for a command whose module cannot be loaded, so that `encserve --help` still lists it."""

    def __init__(self, reason: str) -> None:
        self.SUMMARY = reason

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Nothing is known of its arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """It is never run: a command that was chosen is loaded in earnest."""
        raise NotImplementedError


def _load_or_explain(entry: EntryPoint) -> Command:
    try:
        command: Command = entry.load()
    except ModuleNotFoundError as error:
        return _Missing(f"needs {error.name}: {_install_line(entry)}")
    return command


def _is_optional(error: ModuleNotFoundError) -> bool:
    """Whether an extra would have brought the module. A module of our own that is missing is a bug."""
    return error.name is not None and not error.name.startswith("encserve")


def _install_line(entry: EntryPoint) -> str:
    """The package `encserve_export` needs the extra `export`, and so on."""
    package = entry.module.partition(".")[0]
    return f"pip install '.[{package.removeprefix('encserve_')}]' in a clone of encserve"
