"""Reading the JSON files of a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from encserve_export.errors import CheckpointError


def read_json(file: Path) -> Any:
    """What `file` holds. Raises CheckpointError where it is missing or no JSON."""
    if not file.is_file():
        raise CheckpointError(f"{file} is missing; other files of the checkpoint name it")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file} is not valid JSON: {error}") from error


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object that `file` holds; an empty one where there is no such file. Raises CheckpointError."""
    return read_needed_object(file) if file.is_file() else {}


def read_needed_object(file: Path) -> dict[str, Any]:
    """The JSON object that `file` holds. Raises CheckpointError where it is missing, no JSON, or something else."""
    return checked_object(file, read_json(file))


def checked_object(file: Path, stated: Any) -> dict[str, Any]:
    """`stated`, which `file` holds, where it is a JSON object. Raises CheckpointError: it is something else."""
    if not isinstance(stated, dict):
        raise CheckpointError(f"{file} holds {stated!r:.80} where a JSON object is expected")
    return stated
