"""Work through items, such as the chunks of a call, with a bounded number in flight, in their order.

At most one item more is pulled than there is room for, so an endless source is fine. When an item or the source fails,
or the caller stops early, what has begun is stopped, and nothing of it is left behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import chain, islice
from typing import Any, TypeVar

from encserve._conversation.chunks import Chunk
from encserve._shells.arrivals import Arrivals
from encserve._shells.beside import Held
from encserve._shells.stop import Stop

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    ask: Callable[[Item], Result],
    begin: Callable[[Item], Held[Result]],
    items: Iterator[Item],
    *,
    concurrency: int,
    stop: Callable[[], None],
) -> Generator[Result, None, None]:
    """Yield the result for each item in order, with at most `concurrency` of them begun and not yielded.

    `begin` begins to ask about an item, and `ask` asks here and now. `stop` is called where the results of what has
    begun are not wanted any more; it makes that end.
    """
    head = list(islice(items, 2))
    if len(head) < 2:  # a single request needs no thread
        yield from map(ask, head)
        return
    window: deque[Held[Result]] = deque()
    try:
        for item in chain(head, items):
            if len(window) == concurrency:
                yield window.popleft().result()
            window.append(begin(item))
        while window:
            yield window.popleft().result()
    finally:
        _abandon(window, stop)


def as_they_come(
    begin: Callable[[Chunk], Held[Result]], read: Callable[[], Arrivals], *, concurrency: int, stop: Stop
) -> Generator[Result, None, None]:
    """`in_order`, for chunks that may be long in coming: no result waits for the next chunk. `read` begins to read
    them, and one thread more waits for the next."""
    window: deque[Held[Result]] = deque()
    coming: Future[Chunk | None] | None = None
    ended: Future[Chunk | None] | None = None
    arrivals = read()
    with ThreadPoolExecutor(1, thread_name_prefix="encserve-next") as thread:
        try:
            with stop.waking(arrivals.end):
                while ended is None or window:
                    if coming is None and ended is None and len(window) < concurrency:
                        coming = thread.submit(arrivals.next_chunk)
                    heads = list(islice(window, 1))
                    awaited: list[Future[Any]] = [*([coming] if coming else []), *(held.future for held in heads)]
                    wait(awaited, timeout=heads[0].patience_s if heads else None, return_when=FIRST_COMPLETED)
                    if coming is not None and coming.done():
                        if coming.exception() is None and (chunk := coming.result()) is not None:
                            window.append(begin(chunk))
                        else:
                            ended = coming
                        coming = None
                    for held in heads:
                        held.hasten()
                        if held.future.done():
                            yield window.popleft().result()
                ended.result()  # what ended the source is raised in its turn
        finally:
            arrivals.close()
            _abandon(window, stop)


def _abandon(window: deque[Held[Result]], stop: Callable[[], None]) -> None:
    futures = [held.future for held in window]
    if not all(future.done() for future in futures):
        stop()
        wait(futures)
