"""Which version a call is asked of, where its replicas have several: as while one after the other gets a new version.

A call is asked of whichever version a replica has. Where two have answered it, it is asked again of the newer one. A
replica that lacks it says so at once, and another is asked. Where most lack it, since the new version has just begun to
come or the old one to come back, the few that have it shall not do the work of all: then the call is asked of the other
version. Where that is gone, too, it is asked of any again.

A call that hands its rows over as they come cannot be asked again: it stays with the version that answered first, and
ends where most replicas lack that.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from encserve._conversation.tally import VersionChanged
from encserve._errors import EncserveError

MOST_REPETITIONS = 10
"""How often a call is asked anew at most. A version needs one or two, and hardly any call lives through five."""
MOST_REFUSALS = 2
"""Refusals for each request that waits for its answer after which a version is given up: fewer than a third of the
replicas have it."""
ALLOWANCE = 2
"""Refusals that are allowed besides, so that bad luck with few requests does not decide."""


class Pin:
    """The one version that must answer all requests of a call. Threads may share it."""

    def __init__(self, version: str, *, model: str = "") -> None:
        """`model` is the Triton model that has it, where that is not the pipeline's own, as of a candidate."""
        self.version = version
        self.model = model
        self._lock = threading.Lock()
        self._waiting = 0
        self._refusals = 0

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Surrounds the attempts of a request, and counts the answer if it ends with one."""
        with self._lock:
            self._waiting += 1
        try:
            yield
            with self._lock:
                self._refusals = 0
        finally:
            with self._lock:
                self._waiting -= 1

    def refused(self) -> bool:
        """Count a replica that lacks the version. Returns whether so many did, one after the other, that most lack
        it."""
        with self._lock:
            self._refusals += 1
            return self._refusals > MOST_REFUSALS * self._waiting + ALLOWANCE


class FirstVersion:
    """The version that answered first of a call whose rows are handed over as they come. Threads may share it."""

    def __init__(self, pin: Pin | None = None) -> None:
        self.pin = pin
        """What the rest of the call is asked of; None before the first answer, but for a call to a candidate."""
        self._lock = threading.Lock()

    def takes(self, version: str) -> bool:
        """Return whether an answer of a version belongs to the call, as the first one does in any case."""
        with self._lock:
            if self.pin is None:
                self.pin = Pin(version)
            return self.pin.version == version


class Choice:
    """The versions of one call, one after the other."""

    def __init__(self) -> None:
        self._other = ""
        self._repetitions = 0

    def after(self, pin: Pin | None, error: EncserveError) -> Pin | None:
        """What the call is asked of next; None for any version.

        Raises:
            EncserveError: the error itself, where it is not about versions, or has come too often.
        """
        self._repetitions += 1
        if self._repetitions > MOST_REPETITIONS:
            raise error
        if isinstance(error, VersionChanged):
            newer, self._other = sorted(error.versions, key=_number, reverse=True)
            return Pin(newer)
        if pin is None:
            raise error
        other, self._other = self._other, ""
        return Pin(other) if other else None


def _number(version: str) -> tuple[int, str]:
    return (int(version) if version.isdecimal() else -1, version)
