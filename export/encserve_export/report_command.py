"""`encserve report`: the certificate of a pipeline as one HTML file."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

SUMMARY = "write a pipeline's certificate as an HTML page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("name", help="name of the pipeline")
    parser.add_argument(
        "--repository", type=Path, default=Path("model_repository"), help="model repository (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="the page (default: NAME.html)")
    parser.add_argument("--no-speed", action="store_true", help="do not run the graphs to see how fast they are here")


def run(arguments: argparse.Namespace) -> int:
    """Write the page."""
    from .report import render_report
    from .siblings import measure_speed, published_of

    siblings = published_of(arguments.repository, arguments.name)
    speed = {} if arguments.no_speed else measure_speed(siblings)
    output = arguments.output or Path(f"{arguments.name}.html")
    output.write_text(render_report(siblings, speed, _hardware()), encoding="utf-8")
    print(f"wrote {output}: {', '.join(each.title for each in siblings)}")
    return 0


def _hardware() -> str:
    return f"{len(os.sched_getaffinity(0))} cores of {_processor() or platform.machine()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
