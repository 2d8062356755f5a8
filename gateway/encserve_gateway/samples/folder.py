"""The files of sampled texts: a line for each request, a file for each day, readable to their owner alone."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

DAY_S = 86_400
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})\.jsonl")


class Full(Exception):
    """The files have as many bytes as they may."""


class SampleFolder:
    """The folder of sampled texts, which processes of a gateway share.

    Args:
        folder: made where it is missing, with mode 0700.
        max_bytes: of all files.
        days: how old a file may be.
        now: seconds since 1970.
    """

    def __init__(self, folder: Path, *, max_bytes: int, days: int, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._days = days
        self._now = now

    def append(self, line: bytes) -> None:
        """Write a line, whole or not at all, into the file of today.

        Raises:
            Full: the file of today alone has as many bytes as all may.
            OSError: it cannot be written, as on a disk that is full.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.forget(room_for=len(line))
        descriptor = os.open(
            self._folder / f"{self._today()}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # other processes of the gateway write to it, too
            before = os.fstat(descriptor).st_size
            if before + len(line) > self._max_bytes:
                raise Full
            try:
                if os.write(descriptor, line) < len(line):
                    raise OSError(28, os.strerror(28))
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, before)  # half a line is none
                raise
        finally:
            os.close(descriptor)

    def forget(self, *, room_for: int = 0) -> None:
        """Remove the files that are too old, and the oldest ones where there is no room. Raises OSError."""
        if not self._folder.is_dir():
            return
        files = sorted(file for file in self._folder.iterdir() if _NAME.fullmatch(file.name))
        oldest = time.strftime("%Y-%m-%d", time.gmtime(self._now() - self._days * DAY_S))
        sizes = {file: _size(file) for file in files}
        for file in files:
            too_much = sum(sizes.values()) + room_for > self._max_bytes and file.stem != self._today()
            if file.stem < oldest or too_much:
                file.unlink(missing_ok=True)
                del sizes[file]

    def _today(self) -> str:
        return time.strftime("%Y-%m-%d", time.gmtime(self._now()))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # another process was faster
        return 0
