"""HTTP as uvicorn has it, which also tells the application when a connection ends. By ASGI alone the application would
have a task wait for that beside each request, which takes longer than most of what it does itself."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from encserve_gateway.http.connection import EXTENSION, Connection

_STANDS_ON: dict[type, dict[str, tuple[str, ...]]] = {
    HttpToolsProtocol: {
        "__init__": ("pipeline", "cycle", "scope"),
        "connection_made": ("flow",),
        "connection_lost": ("cycle",),
        "on_message_begin": ("scope",),
        "on_headers_complete": ("pipeline", "cycle", "pause_reading"),
        "on_message_complete": (),
        "on_response_complete": ("pipeline",),
    },
    RequestResponseCycle: {"__init__": ("disconnected", "response_complete")},
    FlowControl: {"__init__": ("_transport",), "resume_reading": ()},
}
"""Class of uvicorn -> its method -> the names that this uses. None of them is in what uvicorn documents."""

WAITING = 1
"""Requests of a connection that may wait for the answers before theirs while it is still read from."""


class _Flow(FlowControl):
    """Reads on only where few requests wait; uvicorn has it read on with each answer and each question for a body."""

    def __init__(self, protocol: TellingProtocol) -> None:
        super().__init__(protocol.transport)
        self._waiting = protocol.pipeline

    def resume_reading(self) -> None:
        """Read, unless too much waits."""
        if len(self._waiting) <= WAITING:
            super().resume_reading()


class TellingProtocol(HttpToolsProtocol):
    """uvicorn's protocol with httptools, whose scopes have the extension `EXTENSION`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        self._connection = Connection()
        self._cycles: deque[RequestResponseCycle] = deque()  # answers end in the order of the requests
        super().connection_made(transport)
        self.flow = _Flow(self)

    def on_message_begin(self) -> None:
        """Begin a request, and the scope of it."""
        super().on_message_begin()
        scope: Any = self.scope
        scope["extensions"] = {EXTENSION: {"connection": self._connection}}

    def on_headers_complete(self) -> None:
        """Begin to answer a request, or keep it until those before it are answered; uvicorn stops reading then."""
        super().on_headers_complete()
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        self._cycles.append(self.cycle)
        self.flow.resume_reading()  # nothing else tells that the caller has gone

    def on_message_complete(self) -> None:
        """Have read a request whole. What comes next is read although nobody asks for it; uvicorn stops reading within
        a body of more than 64 KiB."""
        super().on_message_complete()
        self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """Begin the next request, after which less waits."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End it for all of its requests, where uvicorn by itself ends the last one only."""
        for cycle in self._cycles:
            cycle.disconnected = cycle.disconnected or not cycle.response_complete
        super().connection_lost(exc)
        self._connection.end()


def lacking() -> list[str]:
    """What the installed uvicorn lacks of the names that `TellingProtocol` stands on, such as
    "HttpToolsProtocol.flow in connection_made"; empty for the one that it was written for."""
    return [
        f"{owner.__name__}.{name} in {method}"
        for owner, methods in _STANDS_ON.items()
        for method, names in methods.items()
        for name in (names if hasattr(owner, method) else (method,))
        if name not in _names(owner, method)
    ]


def _names(owner: type, method: str) -> frozenset[str]:
    code = getattr(getattr(owner, method, None), "__code__", None)
    return frozenset(code.co_names if code is not None else ())
