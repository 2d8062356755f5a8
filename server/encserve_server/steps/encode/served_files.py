"""The files of a version while it is served. A runtime reads tables where they lie, so that whoever writes into a file
changes answers that are certified."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from ..instance.loops import Report

PLACE = "graph"
"""Where a fault showed, of a file that was changed."""
_CHANGED = (
    "{file} was changed while it is served: answers may no longer be the certified ones. Restore it, start the server "
    "anew, and copy to a new file that is renamed"
)


class ServedFiles:
    """Reports each file that is changed in place after it was opened, once. A new file that is renamed over it changes
    nothing of what is served, and is not reported.

    Args:
        folder: The version folder.
        digests: File name -> SHA-256, as certified. A file is read again only where its size or time has changed.
        report: Takes what was found, as a fault in `PLACE`.
    """

    def __init__(self, folder: Path, digests: Mapping[str, str], report: Report) -> None:
        self._report = report
        self._certified = {folder / name: digest for name, digest in digests.items()}
        self._open = {file: os.open(file, os.O_RDONLY | os.O_CLOEXEC) for file in self._certified}
        self._seen = {file: _state(number) for file, number in self._open.items()}

    def tell(self) -> None:
        """Look at them."""
        for file, number in list(self._open.items()):
            state = _state(number)
            if state == self._seen[file]:
                continue
            self._seen[file] = state
            if _digest(number) != self._certified[file]:
                os.close(self._open.pop(file))
                self._report(PLACE, ValueError(_CHANGED.format(file=file)))

    def close(self) -> None:
        """Look no more."""
        while self._open:
            os.close(self._open.popitem()[1])


def _state(number: int) -> tuple[int, int]:
    found = os.fstat(number)
    return found.st_size, found.st_mtime_ns


def _digest(number: int) -> str:
    with os.fdopen(os.dup(number), "rb") as stream:
        stream.seek(0)
        return hashlib.file_digest(stream, "sha256").hexdigest()
