"""The library's process: answers what comes over the connection whose file descriptor is its argument."""

from __future__ import annotations

import sys
import time
import traceback
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path

from .asking import Asker
from .messages import Answers, Asked, Failure, Library

_MAY_BE_HERE = ("encserve_export", __package__)


def foreign_modules() -> list[str]:
    """Modules of encserve that are imported here beside those of this package; none should be."""
    return sorted(
        name
        for name in sys.modules
        if name.startswith("encserve") and name not in _MAY_BE_HERE and not name.startswith(f"{__package__}.")
    )


def _files_of(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Every file with its size and the time of its last change."""
    stated = sorted((str(file), file.stat()) for file in folder.rglob("*") if file.is_file())
    return tuple((file, stat.st_size, stat.st_mtime_ns) for file, stat in stated)


@lru_cache(maxsize=1)
def _loaded(library: Library, files: tuple[tuple[str, int, int], ...]) -> Asker:
    """The checkpoint, loaded again where one of its `files` is another than before."""
    return Asker(library)


def _answer(library: Library, requests: list[Asked]) -> Answers | Failure:
    try:
        files = _files_of(library.folder) + (_files_of(library.adapter) if library.adapter else ())
        asker = _loaded(library, files)
        began_s = time.monotonic()
        answered = [asker.answer(request) for request in requests]
        answers = Answers(answered, time.monotonic() - began_s, asker.by, asker.prompts)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return Failure(f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})")
    if foreign := foreign_modules():
        return Failure(f"the library's process has imported {', '.join(foreign)}, and must have none of encserve")
    return answers


def main() -> None:
    """Answer until the other side closes the connection."""
    with Connection(int(sys.argv[1])) as connection:
        while True:
            try:
                library, requests = connection.recv()
            except EOFError:
                return
            connection.send(_answer(library, requests))


if __name__ == "__main__":
    main()
