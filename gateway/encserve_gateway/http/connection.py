"""Whether a caller is still there, as the server tells it that runs the application; and without such a server, as the
next message of ASGI does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from encserve_gateway.http.request import Receive, Scope

T = TypeVar("T")

EXTENSION = "encserve.connection"
"""The extension of a scope of ASGI that has the `Connection` of the request, under "connection"."""


class Gone(Exception):
    """The caller has closed the connection."""


class Connection:
    """One connection, which tells those who wait on it of its end."""

    def __init__(self) -> None:
        self.is_over = False
        """Whether it has ended."""
        self._told: set[Callable[[], None]] = set()

    def on_end(self, tell: Callable[[], None]) -> None:
        """Have this called where it ends, which it has not yet."""
        self._told.add(tell)

    def off_end(self, tell: Callable[[], None]) -> None:
        """Have this called no more."""
        self._told.discard(tell)

    def end(self) -> None:
        """Note that it has ended, and tell."""
        self.is_over = True
        told, self._told = self._told, set()
        for tell in told:
            tell()


async def unless_gone(answering: Coroutine[Any, Any, T], scope: Scope, receive: Receive) -> T:
    """What is done for a caller, whose request was read; it is given up, with whatever it asked, when the caller goes
    away. Raises Gone."""
    connection: Connection | None = scope.get("extensions", {}).get(EXTENSION, {}).get("connection")
    if connection is None:
        return await _unless_told(answering, receive)
    if connection.is_over:
        answering.close()
        raise Gone
    is_gone, work = False, asyncio.current_task()
    assert work is not None

    def give_up() -> None:
        nonlocal is_gone
        is_gone = True
        work.cancel()

    connection.on_end(give_up)
    try:
        return await answering
    except asyncio.CancelledError:
        if not is_gone:
            raise
        raise Gone from None
    finally:
        connection.off_end(give_up)


async def _unless_told(answering: Coroutine[Any, Any, T], receive: Receive) -> T:
    """`unless_gone` by a task that waits for the next message, which after the body is the end of the connection."""
    work = asyncio.current_task()
    assert work is not None
    gone = asyncio.ensure_future(receive())
    is_gone, is_over = False, False

    def give_up(_: object) -> None:
        nonlocal is_gone
        if not is_over:  # this may be called a moment after the answer
            is_gone = True
            work.cancel()

    gone.add_done_callback(give_up)
    try:
        return await answering
    except asyncio.CancelledError:
        if not is_gone:
            raise
        raise Gone from None
    finally:
        is_over = True
        gone.cancel()
