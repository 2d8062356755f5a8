"""What a command tells people while it works, on stderr. Standard library only: the rest takes seconds to load."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread


def say(line: str) -> None:
    """Tell people something that is no result."""
    print(line, file=sys.stderr)


@contextmanager
def stage(doing: str) -> Iterator[None]:
    """Show what is being done and, on a terminal, for how long it has been."""
    begin, ended = time.monotonic(), Event()

    def show(end: str) -> None:
        print(f"{doing} ... {time.monotonic() - begin:.1f} s", end=end, file=sys.stderr, flush=True)

    def tick() -> None:
        while not ended.wait(1):
            show("\r")

    ticking = Thread(target=tick, daemon=True)
    if sys.stderr.isatty():
        show("\r")
        ticking.start()
    try:
        yield
    except BaseException:
        ended.set()
        print(f"{doing} ... failed", file=sys.stderr)
        raise
    ended.set()
    show("\n")
