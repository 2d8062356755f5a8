"""The signals that ask a command to stop, of which none is lost.

Python raises KeyboardInterrupt wherever the main thread is at that moment, and drops it where that is a destructor or a
callback out of C, such as those of gRPC. So every long wait also asks whether a signal has come.
"""

from __future__ import annotations

import signal
from typing import Any


class Interruption:
    """Whether this process was asked to stop: raised as KeyboardInterrupt, and kept where that was dropped."""

    def __init__(self) -> None:
        self._asked = False

    def follow_signals(self) -> None:
        """Raise KeyboardInterrupt in the main thread on SIGINT, SIGTERM and SIGHUP, unless they are ignored, as nohup
        and background jobs ask for."""
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupt)

    def arrived(self) -> None:
        """Note that a KeyboardInterrupt was caught, as before a server is drained: from now on a further signal
        counts."""
        self._asked = False

    def check(self) -> None:
        """Raise KeyboardInterrupt where a signal came whose own was dropped; once."""
        if self._asked:
            self._asked = False
            raise KeyboardInterrupt

    def _interrupt(self, *_: Any) -> None:
        self._asked = True
        raise KeyboardInterrupt


interruption = Interruption()
"""The one of this process, which has one set of signals."""
