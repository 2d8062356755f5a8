"""`blocking_window` for an event loop: each item in a task, and no task is left behind."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from itertools import chain, islice
from typing import Any, TypeVar

from encserve._conversation.chunks import Chunk
from encserve._shells.awaiting_arrivals import AwaitingArrivals
from encserve._shells.stop import Stop

Item = TypeVar("Item")
Result = TypeVar("Result")


async def in_order(
    ask: Callable[[Item], Coroutine[Any, Any, Result]], items: Iterator[Item], *, concurrency: int
) -> AsyncGenerator[Result, None]:
    """Yield `await ask(item)` for each item in order, with at most `concurrency` calls at a time."""
    head = list(islice(items, 2))
    if len(head) < 2:  # a single request needs no task
        for item in head:
            yield await ask(item)
        return
    window: deque[asyncio.Task[Result]] = deque()
    try:
        for item in chain(head, items):
            if len(window) == concurrency:
                yield await window.popleft()
            window.append(asyncio.create_task(ask(item)))
        while window:
            yield await window.popleft()
    finally:
        await _abandon(window)


async def as_they_come(
    ask: Callable[[Chunk], Coroutine[Any, Any, Result]],
    begin: Callable[[], AwaitingArrivals],
    *,
    concurrency: int,
    stop: Stop,
) -> AsyncGenerator[Result, None]:
    """`in_order`, for chunks that may be long in coming: no result waits for the next chunk. `begin` begins to read.
    `stop` ends the wait for the next."""
    arrivals = begin()
    window: deque[asyncio.Task[Result]] = deque()
    coming: asyncio.Task[Chunk | None] | None = None
    ended: asyncio.Task[Chunk | None] | None = None
    try:
        with stop.waking(arrivals.end):
            while ended is None or window:
                if coming is None and ended is None and len(window) < concurrency:
                    coming = asyncio.create_task(arrivals.next_chunk())
                awaited = [each for each in (coming, *islice(window, 1)) if each is not None]
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                if coming is not None and coming.done():
                    if (chunk := _chunk_of(coming)) is not None:
                        window.append(asyncio.create_task(ask(chunk)))
                    else:
                        ended = coming
                    coming = None
                if window and window[0].done():
                    yield await window.popleft()
            ended.result()  # what ended the source is raised in its turn
    finally:
        try:
            await _abandon([*window, *([coming] if coming is not None else [])])
        finally:
            await arrivals.close()


def _chunk_of(coming: asyncio.Task[Chunk | None]) -> Chunk | None:
    """What has come; None where the source has ended, or has failed, be it with CancelledError."""
    failed = coming.cancelled() or coming.exception() is not None
    return None if failed else coming.result()


async def _abandon(tasks: deque[asyncio.Task[Result]] | list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
