"""HTTP as uvicorn has it, which also tells the application when a connection ends. By ASGI alone the application would
have a task wait for that beside each request, which takes longer than most of what it does itself."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from encserve_gateway.http.connection import EXTENSION, Connection


class TellingProtocol(HttpToolsProtocol):
    """uvicorn's protocol with httptools, whose scopes have the extension `EXTENSION`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        self._connection = Connection()
        self._cycles: list[RequestResponseCycle] = []
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        """Begin a request, and the scope of it."""
        super().on_message_begin()
        scope: Any = self.scope
        scope["extensions"] = {EXTENSION: {"connection": self._connection}}

    def on_headers_complete(self) -> None:
        """Begin to answer a request, or keep it until those before it are answered."""
        super().on_headers_complete()
        self._cycles = [cycle for cycle in (*self._cycles, self.cycle) if cycle and not cycle.response_complete]

    def on_message_complete(self) -> None:
        """Have read a request whole. What comes next is read although nobody asks for it, as nothing else tells that
        the caller has gone; uvicorn stops reading within a body of more than 64 KiB."""
        super().on_message_complete()
        if not self.pipeline:
            self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End it for all of its requests, where uvicorn by itself ends the last one only."""
        for cycle in self._cycles:
            cycle.disconnected = cycle.disconnected or not cycle.response_complete
        super().connection_lost(exc)
        self._connection.end()
