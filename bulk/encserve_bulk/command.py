"""`encserve bulk`: a file of texts in, a folder of answers out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encserve import EncserveError, InvalidInput
from encserve._commands.options import add_options, given_options
from encserve._commands.server_arguments import add_server_arguments, open_client
from encserve._verbs.table import VERBS

if TYPE_CHECKING:
    from .job import Job

SUMMARY = "ask about all rows of a file: Parquet or JSON lines in, one row for each id out"
NAMES = ("embed", "embed-sparse", "classify", "classify-tokens", "rerank")
WINDOW_ROWS = 16_384
TIMEOUT_S = 600.0
_OF_CALLS = ("progress", "priority", "timeout_s", "top_k")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: a command for each verb."""
    commands = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb", required=True)
    for name in NAMES:
        verb = VERBS[name.replace("-", "_")]
        each = commands.add_parser(name, help=verb.about.split(".")[0], description=verb.about.split("\n\n")[0])
        each.add_argument("input", type=Path, help="a Parquet file, or JSON lines in a file whose name ends in .jsonl")
        each.add_argument("output", type=Path, help="the folder that gets a part for each window of rows")
        each.add_argument("--model", required=True, metavar="NAME", help="the pipeline")
        each.add_argument("--id", default="id", metavar="COLUMN", help="distinct in each row (default: %(default)s)")
        each.add_argument("--text", default="text", metavar="COLUMN", help="what is asked about (default: %(default)s)")
        if name == "rerank":
            each.add_argument("--query", default="query", metavar="COLUMN", help="what each text is ranked for")
        each.add_argument("--resume", action="store_true", help="go on with the job that was begun in the folder")
        each.add_argument("--format", choices=("parquet", "jsonl"), default="parquet", help="of the parts")
        each.add_argument(
            "--window-rows",
            type=int,
            default=WINDOW_ROWS,
            metavar="N",
            help="rows that are read, sorted and written together (default: %(default)s)",
        )
        add_options(each, verb, without=_OF_CALLS if name != "classify" else _OF_CALLS[:3])
        add_server_arguments(each, timeout_s=TIMEOUT_S)


def run(arguments: argparse.Namespace) -> int:
    """Do the job, and say what was done. Returns 1 where it was stopped, by Ctrl-C or the server, and can go on."""
    from .job import run_job

    job = _job(arguments)
    with open_client(arguments) as client:
        try:
            done = run_job(job, client, resume=arguments.resume)
        except (EncserveError, KeyboardInterrupt) as stopped:
            if isinstance(stopped, InvalidInput):
                raise
            reason = "interrupted" if isinstance(stopped, KeyboardInterrupt) else str(stopped)
            print(f"encserve: error: {reason}\nencserve: go on with the same command and --resume", file=sys.stderr)
            return 1
    print(f"encserve: {done}", file=sys.stderr)
    return 0


def _job(arguments: argparse.Namespace) -> Job:
    from .job import Job
    from .source import Columns, Source

    if arguments.window_rows < 1:
        raise InvalidInput(f"--window-rows is {arguments.window_rows}, it must be 1 or more")
    columns = Columns(id=arguments.id, text=arguments.text, query=getattr(arguments, "query", None))
    options: dict[str, Any] = given_options(arguments, VERBS[arguments.verb.replace("-", "_")])
    options.pop("timeout_s", None)
    if isinstance(options.get("adapter"), list):
        raise InvalidInput(f"--adapter was given {len(options['adapter'])} times, a job has one for all of its texts")
    return Job(
        verb=arguments.verb,
        model=arguments.model,
        source=Source(path=arguments.input, columns=columns),
        output=arguments.output,
        options=options,
        window_rows=arguments.window_rows,
        format=arguments.format,
    )
