"""`encserve report`: the certificate of a pipeline as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "write a pipeline's certificate as an HTML page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("name", help="name of the pipeline")
    parser.add_argument(
        "--repository", type=Path, default=Path("model_repository"), help="model repository (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="the page (default: NAME.html)")


def run(arguments: argparse.Namespace) -> int:
    """Write the page."""
    from encserve_export.publication.siblings import published_of
    from encserve_export.report.page import render_report

    from .stages import say

    siblings = published_of(arguments.repository, arguments.name, lambda line: say(f"warning: {line}"))
    output = arguments.output or Path(f"{arguments.name}.html")
    output.write_text(render_report(siblings), encoding="utf-8")
    print(f"wrote {output}: {', '.join(each.title for each in siblings)}")
    return 0
