"""A caller that waits for what the network computes on other threads."""

from __future__ import annotations

import threading
import time
from typing import Any

from encserve import DeadlineExceeded, EncserveError


class Waiting:
    """One request: it ends once, by rows, by an error, or because nobody waits any more."""

    def __init__(self, *, timeout_s: float, **about: Any) -> None:
        """The time runs from now on. `about` are fields of the error where it is up."""
        self._timeout_s = timeout_s
        self._until = time.monotonic() + timeout_s
        self._about = about
        self._ended = threading.Event()
        self._changing = threading.Lock()
        self._answer: Any = None

    def end(self, answer: Any) -> None:
        """Take the rows of the request, or the exception in their place; only the first counts."""
        with self._changing:
            if not self._ended.is_set():
                self._answer = answer
                self._ended.set()

    def goes_on(self) -> bool:
        """Whether somebody still waits."""
        return not self._ended.is_set() and time.monotonic() < self._until

    def result(self) -> Any:
        """Wait for the rows, by output, or what the network raised in their place.

        Raises:
            EncserveError: the one that the wait was ended with; `DeadlineExceeded` where the time is up.
        """
        try:
            if not self._ended.wait(max(0.0, self._until - time.monotonic())):
                message = "the network had not answered when the time was up"
                self.end(DeadlineExceeded(message, timeout_s=self._timeout_s, **self._about))
        except BaseException:
            self.end(None)  # nobody waits for it
            raise
        if isinstance(self._answer, EncserveError):
            raise self._answer
        return self._answer
