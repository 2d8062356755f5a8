"""`encserve verify`: whether a running server still gives what its pipeline was certified with."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encserve import EncserveError, GrpcTransport, InvalidInput
from encserve._commands.server_arguments import access_of, add_endpoint_arguments

if TYPE_CHECKING:
    from encserve_export.certificate.figures.figure import Figure
    from encserve_export.certificate.verification.verification import Verification

SUMMARY = (
    "run a pipeline's certificate again, on a running server; exit code 1 if it drifted, 3 if it could not be asked"
)
EXIT_DRIFTED = 1
EXIT_NOT_ASKED = 3
"""Nothing is known of a drift: the server stayed busy or down, has no such pipeline, or the repository does not hold
its certificate."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("name", help="name of the pipeline")
    add_endpoint_arguments(parser)
    parser.add_argument(
        "--repository",
        type=Path,
        default=Path("model_repository"),
        help="the model repository of the server, for the certificate (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout-s",
        type=float,
        default=120.0,
        help="seconds that each attempt of a request may take (default: %(default)g)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="the file with which it was exported: the third of its texts that was held out is asked too, which is "
        "kept nowhere",
    )
    parser.add_argument(
        "--calibration-field", default="text", metavar="FIELD", help="of a JSON line (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print what was measured, as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Verify. Returns 0, `EXIT_DRIFTED` or `EXIT_NOT_ASKED`.

    Raises:
        InvalidInput: an argument is wrong.
    """
    try:
        verification = _verified(arguments)
    except InvalidInput:
        raise
    except EncserveError as error:
        print(f"encserve: not verified, since it could not be asked: {error}", file=sys.stderr)
        return EXIT_NOT_ASKED
    print(_as_json(verification) if arguments.json else _as_text(verification))
    return EXIT_DRIFTED if verification.drifted else 0


def _verified(arguments: argparse.Namespace) -> Verification:
    from encserve_export.texts.calibration_file import own_texts
    from encserve_export.verify import verify

    own = own_texts(arguments.calibration, arguments.calibration_field) if arguments.calibration else None
    access = access_of(arguments)
    transport = GrpcTransport(arguments.url, tls=access.tls, api_key=access.api_key)
    try:
        return verify(transport, arguments.name, arguments.repository, timeout_s=arguments.timeout_s, own=own)
    finally:
        transport.close()


def _as_text(verification: Verification) -> str:
    """What was asked, and a table of the figures under the verdict."""
    verdict = "has drifted" if verification.drifted else "has not drifted"
    named = f"{verification.name} version {verification.version}"
    lines = [
        f"{named}, certificate {verification.certificate[:16]}...: {verdict}",
        f"  asked {_asked_in_words(verification.asked)}",
    ]
    lines += [f"  left out {each}" for each in verification.left_out]
    if verification.figures:
        lines.append(f"  {'':<22} {'certified':<12} {'now':<12} limit")
        lines += _rows(verification.figures, verification.certified)
    if verification.held_out:
        lines.append("  on the held-out texts of --calibration")
        lines += _rows(verification.held_out, verification.held_out_certified)
    return "\n".join([*lines, *(f"  {complaint}" for complaint in verification.complaints)])


def _asked_in_words(asked: Mapping[str, int]) -> str:
    parts = {
        "corpus": "{} texts",
        "variants": "some of them {} times with options",
        "neighbours": "{} for their neighbours",
        "lengths": "{} of all lengths",
        "beams": "{} of them with beams",
        "alone": "{} once more alone",
        "held_out": "{} held-out texts",
    }
    return ", ".join(words.format(asked[name]) for name, words in parts.items() if asked.get(name))


def _rows(figures: Sequence[Figure], certified: Mapping[str, float]) -> Iterator[str]:
    for figure in figures:
        before = certified.get(figure.name, float("nan"))
        missed = "" if figure.holds else "  missed"
        yield f"  {figure.name:<22} {before:<12.6g} {figure.measured:<12.6g} {figure.limit:g}{missed}"


def _as_json(verification: Verification) -> str:
    stated = {
        "name": verification.name,
        "version": verification.version,
        "certificate": verification.certificate,
        "drifted": verification.drifted,
        "complaints": verification.complaints,
        "asked": verification.asked,
        "left_out": verification.left_out,
        "figures": _stated(verification.figures, verification.certified),
        "held_out": _stated(verification.held_out, verification.held_out_certified),
    }
    return json.dumps(stated, indent=2)


def _stated(figures: Sequence[Figure], certified: Mapping[str, float]) -> dict[str, Any]:
    return {
        figure.name: {
            "certified": certified.get(figure.name),
            "measured": figure.measured if figure.measured == figure.measured else None,  # JSON has no NaN
            "limit": figure.limit,
            "holds": figure.holds,
            "texts": figure.texts,
        }
        for figure in figures
    }
