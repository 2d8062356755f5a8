"""Settings of one step of a pipeline, as the exporter writes them into the step's version folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE_NAME = "settings.json"


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings beside a step's model. Raises ValueError if the file is not a JSON object."""
    settings = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    if not isinstance(settings, dict):
        raise ValueError(f"{folder / FILE_NAME} holds a {type(settings).__name__}, not a JSON object")
    return settings


def version_folder(args: Mapping[str, Any]) -> Path:
    """Return the version folder of a step, out of `args` of `initialize`."""
    return Path(args["model_repository"]) / str(args["model_version"])


def check_sha256(file: Path, expected: str) -> None:
    """Refuse a file that is not the one that was certified. Raises ValueError with both digests."""
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        raise ValueError(
            f"{file} is not the file that was certified: its sha256 is {found}, the manifest says {expected}. "
            "Export the pipeline again, or restore the file."
        )


def instance_of(args: Mapping[str, Any]) -> int:
    """Return which instance of its step this process is, out of `args` of `initialize`: MODEL_GROUP_INSTANCE."""
    number = str(args["model_instance_name"]).rsplit("_", 1)[-1]
    return int(number) if number.isdecimal() else 0
