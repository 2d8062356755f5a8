"""The removal of what killed exports left in the work folder: versions that were being made, and that nobody makes any
more."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress

from encserve_repository.errors import Busy
from encserve_repository.work_folder import WorkFolder


def clear_left_behind(work: WorkFolder, but: Collection[str]) -> None:
    """Remove every staging folder whose export has died, of pipelines other than those that the caller has locked.

    It has died if its lock is free. Where a journal tells of it the publication had begun, and whoever exports or
    promotes that pipeline next ends or undoes it.

    Raises:
        OSError: the work folder cannot be written.
    """
    for name in sorted({*_staged(work)} - {*but}):
        with suppress(Busy), work.locked(name):
            for place in work.places:
                if not place.journal(name).exists():
                    shutil.rmtree(place.staging(name), ignore_errors=True)


def _staged(work: WorkFolder) -> Iterator[str]:
    for place in work.places:
        yield from (folder.parent.name for folder in place.path.glob("*/staging"))
