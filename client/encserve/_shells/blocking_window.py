"""Work through items, such as the chunks of a call, with a bounded number in flight, each on a thread, in their order.

At most one item more is pulled than there is room for, so an endless source is fine. When an item or the source fails,
or the caller stops early, what has not begun is cancelled, what has is stopped, and no thread is left behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import chain, islice
from typing import Any, TypeVar

from encserve._conversation.chunks import Chunk
from encserve._shells.arrivals import Arrivals
from encserve._shells.stop import Stop

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    ask: Callable[[Item], Result], items: Iterator[Item], *, concurrency: int, stop: Callable[[], None]
) -> Generator[Result, None, None]:
    """Yield `ask(item)` for each item in order, with at most `concurrency` calls at a time, each in a thread.

    `stop` is called where the results of calls that run are not wanted any more; it makes them end.
    """
    head = list(islice(items, 2))
    if len(head) < 2:  # a single request needs no threads
        yield from map(ask, head)
        return
    window: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(concurrency, thread_name_prefix="encserve") as threads:
        try:
            for item in chain(head, items):
                if len(window) == concurrency:
                    yield window.popleft().result()
                window.append(threads.submit(ask, item))
            while window:
                yield window.popleft().result()
        finally:
            _abandon(window, stop)


def as_they_come(
    ask: Callable[[Chunk], Result], begin: Callable[[], Arrivals], *, concurrency: int, stop: Stop
) -> Generator[Result, None, None]:
    """`in_order`, for chunks that may be long in coming: no result waits for the next chunk. `begin` begins to read."""
    window: deque[Future[Result]] = deque()
    coming: Future[Chunk | None] | None = None
    ended: Future[Chunk | None] | None = None
    arrivals = begin()
    with ThreadPoolExecutor(concurrency + 1, thread_name_prefix="encserve") as threads:
        try:
            with stop.waking(arrivals.end):
                while ended is None or window:
                    if coming is None and ended is None and len(window) < concurrency:
                        coming = threads.submit(arrivals.next_chunk)
                    awaited: list[Future[Any]] = [each for each in (coming, *islice(window, 1)) if each is not None]
                    wait(awaited, return_when=FIRST_COMPLETED)
                    if coming is not None and coming.done():
                        if coming.exception() is None and (chunk := coming.result()) is not None:
                            window.append(threads.submit(ask, chunk))
                        else:
                            ended = coming
                        coming = None
                    if window and window[0].done():
                        yield window.popleft().result()
                ended.result()  # what ended the source is raised in its turn
        finally:
            arrivals.close()
            _abandon(window, stop)


def _abandon(window: deque[Future[Result]], stop: Callable[[], None]) -> None:
    for future in window:
        future.cancel()
    if not all(future.done() for future in window):
        stop()
