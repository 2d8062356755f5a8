"""A file of the user's own texts."""

from __future__ import annotations

import json
from pathlib import Path

from .errors import InvalidConfig


def read_texts(file: Path, field: str) -> list[str]:
    """One text for each line that is not blank; of `FILE.jsonl` the string under `field`, or the line's own string.

    Raises:
        InvalidConfig: the file cannot be read, or a line of it is no text.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"--calibration {file}: cannot be read as UTF-8 text: {error}") from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if file.suffix != ".jsonl":
        return [line for _, line in numbered]
    return [_text_of(line, field, f"--calibration {file}, line {number}") for number, line in numbered]


def _text_of(line: str, field: str, where: str) -> str:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise InvalidConfig(f"{where}: not JSON: {error}") from error
    text = value.get(field) if isinstance(value, dict) else value
    if not isinstance(text, str):
        has = f"its fields are {', '.join(sorted(value))}" if isinstance(value, dict) else f"it is {line[:60]}"
        raise InvalidConfig(f"{where}: no text under {field!r}, {has}; --calibration-field names the field")
    return text
