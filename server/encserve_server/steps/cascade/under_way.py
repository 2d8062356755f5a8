"""The calls that have no answer yet, by the ids by which their callers may give them up."""

from __future__ import annotations

import threading

from .asked import Asked


class UnderWay:
    """Calls from when they are let in until they are answered. Any number of threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[str, list[Asked]] = {}

    def begin(self, asked: Asked) -> None:
        """Keep a call, before another thread can answer it."""
        with self._lock:
            self._calls.setdefault(asked.call.id, []).append(asked)

    def end(self, asked: Asked) -> None:
        """Forget a call."""
        with self._lock:
            others = [each for each in self._calls.pop(asked.call.id) if each is not asked]
            if others:
                self._calls[asked.call.id] = others

    def give_up(self, request_id: str) -> None:
        """Mark all calls of an id as given up."""
        with self._lock:
            for asked in self._calls.get(request_id, ()):
                asked.given_up.set()
