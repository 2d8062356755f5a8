"""The load of an encode step, as the door of a pipeline reads it."""

from __future__ import annotations

import time

from ...instance.load_page import LOOK_S, Load, LoadReader, open_page, page_file


class EncodeLoad:
    """The page of an encode step, once that has begun to say something and as long as it runs."""

    def __init__(self, model: str, version: str) -> None:
        self._file = page_file(model, version)
        self._page: LoadReader | None = None
        self._has_ended = False
        self._next_look_s = 0.0

    def of(self, lane: str) -> Load | None:
        """Return the load of a lane. None where nothing is known, so that nobody needs to wait; of a process that died
        Triton will tell the callers."""
        load = self._read(lane)
        if (load is None or load.tokens >= load.room) and time.monotonic() >= self._next_look_s:
            self._look()
            load = self._read(lane)
        return None if self._has_ended else load

    def _read(self, lane: str) -> Load | None:
        return self._page.read(lane) if self._page else None

    def _look(self) -> None:
        self._next_look_s = time.monotonic() + LOOK_S
        if self._page is None:
            self._page = open_page(self._file)  # not every engine says it
        self._has_ended = self._page is not None and self._page.has_ended()
