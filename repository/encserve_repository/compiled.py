"""What Python compiled of the code of a step, and keeps beside it."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import MAGIC_NUMBER
from pathlib import Path

_HEADER_BYTES = 16  # magic number, flags, and two fields about the source


def drop_damaged(repository: Path, steps: Mapping[str, int]) -> None:
    """Remove the compiled files of which Python wrote half, as it does where the disk is full: with one of them no load
    of that version would ever succeed, while without it Python compiles the code anew.

    Args:
        repository: the model repository; what cannot be read or written there stays as it is.
        steps: the versions that are about to be loaded, by the name of their model.
    """
    for model, version in steps.items():
        for file in (repository / model / str(version)).rglob("*.pyc"):
            with suppress(OSError):
                if _is_damaged(file.read_bytes()):
                    file.unlink()


def _is_damaged(compiled: bytes) -> bool:
    if not compiled.startswith(MAGIC_NUMBER):
        return False  # of another Python, which reads it alone
    try:
        marshal.loads(compiled[_HEADER_BYTES:])
    except (EOFError, TypeError, ValueError):
        return True
    return False
