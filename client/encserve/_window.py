"""Work through an iterator with a bounded number of items in flight; the results keep the order.

Both functions pull at most one item more than there is room for, so an endless iterator is fine. When an item or the
iterator fails, or the caller stops early, what has not begun is cancelled. Neither leaves a thread or a task behind:
threads finish the request that they are in, which the caller may shorten; tasks are cancelled.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, concurrency: int, stop: Callable[[], None]
) -> Generator[Result, None, None]:
    """Yield `function(item)` for each item in order, with at most `concurrency` calls at a time, each in a thread.

    `stop` is called where the results of calls that run are not wanted any more; it may make them end sooner.
    """
    items = iter(items)
    head = list(islice(items, 2))
    if len(head) < 2:  # a single request needs no threads
        yield from map(function, head)
        return
    window: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(concurrency, thread_name_prefix="encserve") as threads:
        try:
            for item in chain(head, items):
                if len(window) == concurrency:
                    yield window.popleft().result()
                window.append(threads.submit(function, item))
            while window:
                yield window.popleft().result()
        finally:
            for future in window:
                future.cancel()
            if not all(future.done() for future in window):
                stop()


async def in_order_async(
    function: Callable[[Item], Coroutine[Any, Any, Result]], items: Iterable[Item], *, concurrency: int
) -> AsyncGenerator[Result, None]:
    """`in_order`, with tasks of the running event loop."""
    items = iter(items)
    head = list(islice(items, 2))
    if len(head) < 2:  # a single request needs no task
        for item in head:
            yield await function(item)
        return
    window: deque[asyncio.Task[Result]] = deque()
    try:
        for item in chain(head, items):
            if len(window) == concurrency:
                yield await window.popleft()
            window.append(asyncio.create_task(function(item)))
        while window:
            yield await window.popleft()
    finally:
        for task in window:
            task.cancel()
        await asyncio.gather(*window, return_exceptions=True)
