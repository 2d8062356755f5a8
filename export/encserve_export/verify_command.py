"""`encserve verify`: whether a running server still gives what its pipeline was certified with."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from encserve import GrpcTransport

if TYPE_CHECKING:
    from .verification import Verification

SUMMARY = "run a pipeline's certificate again, on a running server"
EXIT_DRIFTED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("name", help="name of the pipeline")
    parser.add_argument("--url", default="localhost:8001", help="gRPC endpoint of the server (default: %(default)s)")
    parser.add_argument(
        "--repository",
        type=Path,
        default=Path("model_repository"),
        help="the model repository of the server, for the certificate (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout-s", type=float, default=120.0, help="seconds that one request may take (default: %(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="print what was measured, as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Verify; the exit code is 1 if the server has drifted."""
    from .verification import verify

    transport = GrpcTransport(arguments.url)
    try:
        verification = verify(transport, arguments.name, arguments.repository, timeout_s=arguments.timeout_s)
    finally:
        transport.close()
    print(_as_json(verification) if arguments.json else _as_text(verification))
    return EXIT_DRIFTED if verification.drifted else 0


def _as_text(verification: Verification) -> str:
    """A table of the figures under the verdict."""
    verdict = "has drifted" if verification.drifted else "has not drifted"
    lines = [
        f"{verification.name} version {verification.version}, certificate {verification.certificate[:16]}...: {verdict}"
    ]
    if verification.figures:
        lines.append(f"  {'':<22} {'certified':<12} {'now':<12} limit")
    for figure in verification.figures:
        certified = verification.certified.get(figure.name, float("nan"))
        missed = "" if figure.holds else "  missed"
        lines.append(f"  {figure.name:<22} {certified:<12.6g} {figure.measured:<12.6g} {figure.limit:g}{missed}")
    return "\n".join([*lines, *(f"  {complaint}" for complaint in verification.complaints)])


def _as_json(verification: Verification) -> str:
    figures = {
        figure.name: {
            "certified": verification.certified.get(figure.name),
            "measured": figure.measured if figure.measured == figure.measured else None,  # JSON has no NaN
            "limit": figure.limit,
            "holds": figure.holds,
        }
        for figure in verification.figures
    }
    stated = {
        "name": verification.name,
        "version": verification.version,
        "certificate": verification.certificate,
        "drifted": verification.drifted,
        "complaints": verification.complaints,
        "figures": figures,
    }
    return json.dumps(stated, indent=2)
