"""Callers that wait for their answers: one after the other, on threads, or as tasks. Standard library only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Load:
    """What to send."""

    requests: Sequence[list[str]]
    streams: int
    cap_s: float
    """No request begins later than this."""
    due_s: Sequence[float] = ()
    """When each request is due, in an open loop; empty in a closed one."""


@dataclass
class Done:
    """What was answered."""

    latencies_s: list[float] = field(default_factory=list)
    """Of each request; in an open loop counted from when it was due."""
    texts: int = 0
    wall_s: float = 0.0
    """From the first request to the last answer."""

    def add(self, request: list[str], latency_s: float) -> None:
        """Count one answer."""
        self.latencies_s.append(latency_s)
        self.texts += len(request)


def serially(load: Load, call: Callable[[list[str]], object]) -> Done:
    """One call after the other, whatever `streams` says: for what runs in process, where calls cannot overlap."""
    done, begin = Done(), time.perf_counter()
    for request in _Requests(load, begin):
        before = time.perf_counter()
        call(request)
        done.add(request, time.perf_counter() - before)
    done.wall_s = time.perf_counter() - begin
    return done


def on_threads(load: Load, call: Callable[[list[str]], object]) -> Done:
    """As many threads as streams."""
    done, begin = Done(), time.perf_counter()
    requests = _Requests(load, begin)

    def stream() -> None:
        for request in iter(lambda: next(requests, None), None):
            before = time.perf_counter()
            call(request)
            done.add(request, time.perf_counter() - before)

    with ThreadPoolExecutor(load.streams) as threads:
        for future in [threads.submit(stream) for _ in range(load.streams)]:
            future.result()
    done.wall_s = time.perf_counter() - begin
    return done


async def as_tasks(load: Load, call: Callable[[list[str]], Awaitable[object]]) -> Done:
    """As many tasks as streams; or, in an open loop, a task for each request when it is due."""
    done, begin = Done(), time.perf_counter()

    async def send(request: list[str], from_s: float) -> None:
        await call(request)
        done.add(request, time.perf_counter() - from_s)

    async def stream() -> None:
        for request in requests:
            await send(request, time.perf_counter())

    if load.due_s:
        tasks = []
        for request, due_s in zip(load.requests, load.due_s, strict=False):
            await asyncio.sleep(max(0.0, begin + due_s - time.perf_counter()))
            tasks.append(asyncio.create_task(send(request, begin + due_s)))
        await asyncio.gather(*tasks)
    else:
        requests = _Requests(load, begin)
        await asyncio.gather(*(stream() for _ in range(load.streams)))
    done.wall_s = time.perf_counter() - begin
    return done


class _Requests:
    """The requests, until the time is up; several threads may take from it."""

    def __init__(self, load: Load, begin: float) -> None:
        self._requests = iter(list(load.requests))
        self._end = begin + load.cap_s

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        if time.perf_counter() > self._end:
            raise StopIteration
        return next(self._requests)
