"""What is to be done, on the page that the launcher reads before it ends a server."""

from __future__ import annotations

import threading
from typing import Protocol

from ...instance.lanes import LANES
from ...instance.load_page import Load, LoadWriter


class Loaded(Protocol):
    """What is asked of an engine."""

    def load(self, lane: str) -> Load:
        """The load of a lane."""


class ShownWork:
    """The page of an engine. Threads may share it: what one shows is never older than what another showed."""

    def __init__(self, page: LoadWriter, engine: Loaded) -> None:
        self._page, self._engine = page, engine
        self._showing = threading.Lock()
        self._shows_some = False

    def show(self) -> None:
        """Show what is to be done now."""
        with self._showing:
            self._show()

    def begins(self) -> None:
        """Show that there is something to be done, if the page shows nothing: looking at all texts for each that comes
        would cost more than to let it in."""
        with self._showing:
            if not self._shows_some:
                self._show()

    def _show(self) -> None:
        loads = {lane: self._engine.load(lane) for lane in LANES}
        for lane, load in loads.items():
            self._page.publish(lane, load)
        self._shows_some = any(load.tokens for load in loads.values())
