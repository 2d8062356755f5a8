"""`encserve models`: the pipelines of a server and their limits."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from encserve._candidate import Candidate
from encserve._cascade import Cascade
from encserve._commands.server_arguments import add_server_arguments, open_client
from encserve._pipeline import PipelineInfo

SUMMARY = "list the pipelines of a server"

COLUMNS = {
    "NAME": "name",
    "VERSION": "version",
    "TASK": "task",
    "PRECISION": "precision",
    "ENGINE": "engine",
    "DIM": "dimensions",
    "MAX_LENGTH": "max_length",
    "TEXTS/REQ": "max_texts_per_request",
    "TOKENS/REQ": "max_tokens_per_request",
    "BYTES/TEXT": "max_bytes_per_text",
    "ADAPTERS": "adapters",
    "NEEDS": "requirements",
    "RELAXED": "relaxed",
    "CANDIDATE": "candidate",
    "CASCADE": "cascade",
}
"""Column -> field of `PipelineInfo`."""
_SELDOM = ("adapters", "candidate", "cascade")
"""The fields that have a column only where a pipeline has one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_server_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print all that is known, as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the pipelines."""
    with open_client(arguments) as client:
        pipelines = client.models()
    if arguments.json:
        print(json.dumps([asdict(pipeline) for pipeline in pipelines], indent=2))
    elif pipelines:
        print(table(pipelines))
    else:
        print(f"{arguments.url} serves no encserve pipeline")
    return 0


def table(pipelines: Sequence[PipelineInfo]) -> str:
    """One line per pipeline, in aligned columns; numbers to the right. What few have is a column where one has it."""
    columns = []
    for heading, field in COLUMNS.items():
        if field in _SELDOM and not any(getattr(pipeline, field) for pipeline in pipelines):
            continue
        values = [_cell(getattr(pipeline, field)) for pipeline in pipelines]
        width = max(len(heading), *(len(str(value)) for value in values))
        align = ">" if isinstance(values[0], int) else "<"
        columns.append([f"{cell:{align}{width}}" for cell in [heading, *map(str, values)]])
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def _cell(value: str | int | tuple[str, ...] | Candidate | Cascade | None) -> str | int:
    if value is None:
        return "-"
    if isinstance(value, Candidate):
        shadow = f", {value.shadow * 100:.3g} % in the shadow" if value.shadow else ""
        return f"version {value.version}, {value.share * 100:.3g} %{shadow}"
    if isinstance(value, Cascade):
        return f"{value.small} {value.small_version}, below {value.threshold:.4g} {value.large} {value.large_version}"
    return (", ".join(value) or "-") if isinstance(value, tuple) else value
