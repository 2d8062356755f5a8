"""Where nobody wants an answer any more, whatever waits for it is woken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from encserve._errors import TransportError


class Stop:
    """Ends what a client, or a call, still waits for. Any thread may call it."""

    def __init__(self, reason: str, *, within: Stop | None = None) -> None:
        """`reason` is what the error says that ends it, unless it was `within` another that was called."""
        self._reason = reason
        self._within = within
        self._lock = threading.Lock()
        self._stopped = False
        self._wakes: set[Callable[[], object]] = set()

    def __call__(self) -> None:
        """Wake all that waits, and let nothing wait from now on."""
        with self._lock:
            self._stopped = True
            wakes = list(self._wakes)
        for wake in wakes:
            wake()

    @contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        """Surrounds a wait, which `wake` ends.

        Raises:
            TransportError: it has been stopped, before the wait or in it.
        """
        with self._lock:
            self.check()
            self._wakes.add(wake)
        try:
            yield
        finally:
            self.discard(wake)
        self.check()

    def add(self, wake: Callable[[], object]) -> bool:
        """Let it call `wake`, which may be called once more than needed. Returns whether it has not been stopped; else
        it calls nobody."""
        with self._lock:
            if not self._stopped:
                self._wakes.add(wake)
            return not self._stopped

    def discard(self, wake: Callable[[], object]) -> None:
        """Let it not call `wake` any more."""
        with self._lock:
            self._wakes.discard(wake)

    def check(self) -> None:
        """Raise TransportError if it has been stopped."""
        if self._within is not None:
            self._within.check()
        if self._stopped:
            raise TransportError(self._reason)
