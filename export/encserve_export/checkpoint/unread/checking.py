"""The check that every key of a checkpoint's file is read, or is listed as one that may be passed over."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from encserve_export.errors import Unsupported
from encserve_export.json_file import checked_object

from .keys import Unread


def check_keys(
    file: Path, stated: Mapping[str, Any], read: Collection[str], listed: Sequence[Unread], family: str = ""
) -> None:
    """Check that `stated`, the JSON object of `file`, holds no key beyond those in `read` and those that are `listed`.

    Raises:
        Unsupported: another key, or one that is listed with other values; the message names it and its value.
        CheckpointError: it is no object.
    """
    for key, value in checked_object(file, stated).items():
        if key in read or any(_passes(entry, key, value, family) for entry in listed):
            continue
        expected = [entry.values for entry in listed if _holds(entry, key, family)]
        instead = " or ".join(repr(value) for values in expected for value in values)
        raise Unsupported(
            f"{file} states {key!r}: {value!r}, which is not supported"
            + (
                f"; supported is {instead}"
                if instead
                else ": nothing here reads it. If you know that no answer depends on it, take it out of the file in a "
                "local copy of the checkpoint"
            )
        )


def _holds(entry: Unread, key: str, family: str) -> bool:
    return (not entry.families or family in entry.families) and any(fnmatchcase(key, name) for name in entry.keys)


def _passes(entry: Unread, key: str, value: Any, family: str) -> bool:
    return _holds(entry, key, family) and (not entry.values or any(_same(value, each) for each in entry.values))


def _same(value: Any, other: Any) -> bool:
    """Whether two JSON values are equal; to Python False is 0 and True is 1, too."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)
