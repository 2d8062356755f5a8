"""Ends waits that take too long, where all may take as long."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class TimeLimit:
    """The time that each of many waits of one kind may take, in the event loop that runs.

    Their ends come in the order of their beginnings, so one timer is enough, that of the oldest: a wait that is over
    soon, as nearly all are, sets none and takes none back, which would take longer than the rest of it.

    Args:
        seconds: the time that each may take.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends_s: dict[asyncio.Task[Any], float] = {}
        """The tasks that wait, the oldest first, and when they are late by the clock of the loop."""
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def wait(self, awaited: Awaitable[T]) -> T:
        """What is awaited, which is cancelled when its time is over. A task has one such wait at a time.

        Raises:
            asyncio.TimeoutError: it took longer.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        if loop is not self._loop:  # what an earlier loop left waits no more
            self._loop, self._ends_s, self._timer = loop, {}, None
        cancelling = task.cancelling() if sys.version_info >= (3, 11) else 0
        ends_s = self._ends_s
        ends_s[task] = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_later(self.seconds, self._look, loop)
        try:
            return await awaited
        except asyncio.CancelledError as error:
            if task in ends_s:  # somebody else cancelled it
                raise
            if sys.version_info >= (3, 11) and task.uncancel() > cancelling:  # somebody else, too
                raise
            raise asyncio.TimeoutError from error
        finally:
            ends_s.pop(task, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what is late, and look again when the next one would be."""
        self._timer = None
        now_s = loop.time()
        while self._ends_s:
            task, end_s = next(iter(self._ends_s.items()))
            if end_s > now_s:
                self._timer = loop.call_at(end_s, self._look, loop)
                return
            del self._ends_s[task]
            task.cancel()
