"""Threads that never end in silence.

A thread of a step takes work and does it, round after round. What goes wrong in that is a fault of ours: it is
reported, the requests that wait for the work are answered, and the thread goes on. Where nobody can be answered the
process ends, which the server's supervision sees, and Triton tells the callers.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

EXIT_CODE = 70
"""The exit code of a process that cannot go on: EX_SOFTWARE."""
PAUSE_S = 0.1
"""Seconds before work is looked for again after that failed."""
TRIES = 50
"""The number of failures to take work, one after the other, after which the process ends."""

Work = TypeVar("Work")
Report: TypeAlias = Callable[[str, BaseException], None]
"""A function that takes where something went wrong and what; raises nothing."""


def print_fault(where: str, error: BaseException) -> None:
    """Report to the standard error stream, where there is no server."""
    print(f"internal error in {where}: {error!r}", file=sys.stderr, flush=True)


def end_process() -> None:
    """End this process at once, with all its threads."""
    os._exit(EXIT_CODE)


@dataclass(frozen=True)
class Loop(Generic[Work]):
    """The work of one thread, which it takes and does for as long as there is any."""

    name: str
    take: Callable[[], Work | None]
    """Waits for work; None ends the thread."""
    do: Callable[[Work], None]
    give_up: Callable[[Work, BaseException], None]
    """Answers the requests that still wait for work that failed."""
    report: Report
    begin: Callable[[], None] = lambda: None
    """What the thread does first."""

    def start(self) -> threading.Thread:
        """Begin, in a thread of its own."""
        thread = threading.Thread(target=self.run, name=self.name, daemon=True)
        thread.start()
        return thread

    def run(self) -> None:
        """Take and do until there is no more work."""
        try:
            self.begin()
        except BaseException as error:
            self.report(self.name, error)
        failures = 0
        goes_on = True
        while goes_on and failures < TRIES:
            try:
                work = self.take()
            except BaseException as error:  # a panic of the tokenizer, and a lack of memory, too
                self.report(self.name, error)
                failures += 1
                time.sleep(PAUSE_S)
                continue
            failures = 0
            if goes_on := work is not None:
                self._do(work)
            del work  # not kept while the thread waits
        if goes_on:
            end_process()

    def _do(self, work: Work) -> None:
        try:
            self.do(work)
        except BaseException as error:
            self.report(self.name, error)
            try:
                self.give_up(work, error)
            except BaseException as failure:
                self.report(self.name, failure)
                end_process()
