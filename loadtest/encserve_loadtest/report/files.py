"""The files of a report: one HTML page that needs no network, and the same findings as JSON."""

import json
from pathlib import Path

from encserve import InvalidInput
from encserve_loadtest.findings import Findings
from encserve_loadtest.report.page import render_html
from encserve_loadtest.report.plain import to_json


def check_report(path: Path) -> None:
    """Refuse, before anything is measured, a report that could not be written.

    Raises:
        InvalidInput: there is no such folder, or the path is a folder.
    """
    if path.is_dir():
        raise InvalidInput(f"the report {path} cannot be written: it is a folder")
    if not path.parent.is_dir():
        raise InvalidInput(f"the report {path} cannot be written: there is no folder {path.parent}")


def write_report(findings: Findings, path: Path) -> None:
    """Write `path` as HTML, and beside it the JSON.

    Raises:
        InvalidInput: a file cannot be written.
    """
    try:
        path.write_text(render_html(findings), encoding="utf-8")
        json_path(path).write_text(json.dumps(to_json(findings), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"the report {path} cannot be written: {error.strerror}") from error


def json_path(path: Path) -> Path:
    """Where the JSON beside a report is."""
    return path.with_suffix(".json")
