"""Threads of the launcher that never end in silence.

A thread does one piece of work after the other. What goes wrong in a piece is reported, once for as long as it stays
the same, and the next piece is begun after a pause.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

PAUSE_S = 0.1
"""Seconds between a piece of work that failed and the next one."""


def start_loop(name: str, piece: Callable[[], bool], *, report: Callable[[str], None]) -> threading.Thread:
    """Start a daemon thread that calls `piece` until it returns that there is no more to do.

    Args:
        name: The name of the thread, which is reported, too.
        piece: Does one piece of work and returns whether there is more to do.
        report: Takes one line for each failure that is not the one before; what it raises is ignored.
    """
    thread = threading.Thread(target=_run, args=(name, piece, report), name=name, daemon=True)
    thread.start()
    return thread


def _run(name: str, piece: Callable[[], bool], report: Callable[[str], None]) -> None:
    said, goes_on = "", True
    while goes_on:
        try:
            goes_on = piece()
            said = ""
        except Exception as error:
            line = f"error in {name}: {error!r}"
            if line != said:
                said = line
                with suppress(Exception):
                    report(line)
            time.sleep(PAUSE_S)
