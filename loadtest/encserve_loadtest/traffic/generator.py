"""The load generator: an open loop that keeps to a schedule, and a closed loop that waits for answers.

Both run in one event loop and call a function that goes through the SDK. All times come from that loop's clock.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from encserve import EncserveError
from encserve_loadtest.traffic.run import UNANSWERED, Loop, Run


@dataclass(frozen=True)
class Streamed:
    """What became of a request that is answered piece by piece."""

    tokens: int
    """Of its text, and of what was made of it."""
    first_s: float
    """When its first piece was there, by the event loop's clock."""


Send: TypeAlias = Callable[[int], Awaitable["int | Streamed"]]
"""Send request number i, and return the tokens of its texts. Raises EncserveError."""


async def open_loop(send: Send, scheduled_s: NDArray[np.float64], *, duration_s: float, grace_s: float) -> Run:
    """Send each request at its scheduled time, however many are still unanswered.

    Args:
        send: called with 0, 1, 2 ...
        scheduled_s: seconds from the start, sorted, (n,).
        duration_s: how long the schedule is.
        grace_s: how long to wait after it for the last answers; what has none by then has failed.
    """
    recorder = _Recorder(send)
    tasks: set[asyncio.Task[None]] = set()
    try:
        for index, due_s in enumerate(scheduled_s.tolist()):
            await asyncio.sleep(max(0.0, due_s - recorder.now_s()))  # a generator that is late still lets answers in
            task = asyncio.create_task(recorder.fire(index, due_s))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(max(0.0, duration_s - recorder.now_s()))
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
    finally:
        await _cancel(tasks)
    return recorder.run(Loop.OPEN, duration_s)


async def closed_loop(send: Send, *, users: int, duration_s: float) -> Run:
    """Let each user send a request as soon as the one before was answered.

    What the server does between two requests of a user is never asked, so a stall shows as one slow request per user.
    """
    recorder = _Recorder(send)
    indices = iter(range(2**62))

    async def user() -> None:
        while recorder.now_s() < duration_s:
            await recorder.fire(next(indices), recorder.now_s())

    tasks = {asyncio.create_task(user()) for _ in range(users)}
    try:
        await asyncio.gather(*tasks)
    finally:
        await _cancel(tasks)
    return recorder.run(Loop.CLOSED, duration_s)


class _Recorder:
    """Sends requests and writes down what became of them."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._clock = asyncio.get_running_loop().time
        self._start_s = self._clock()
        self._cpu_start_s = time.process_time()
        self._rows: list[tuple[float, float, float, float, int]] = []
        self._failures: Counter[str] = Counter()

    def now_s(self) -> float:
        return self._clock() - self._start_s

    async def fire(self, index: int, due_s: float) -> None:
        sent_s = self.now_s()
        first_s, finished_s, tokens = np.inf, np.inf, 0
        try:
            answered = await self._send(index)
            first_s = finished_s = self.now_s()
            if isinstance(answered, Streamed):
                first_s, tokens = answered.first_s - self._start_s, answered.tokens
            else:
                tokens = answered
        except EncserveError as error:
            self._failures[type(error).__name__] += 1
        except asyncio.CancelledError:
            self._failures[UNANSWERED] += 1
            raise
        finally:
            self._rows.append((due_s, sent_s, finished_s, first_s, tokens))

    def run(self, loop: Loop, duration_s: float) -> Run:
        cpu_s = time.process_time() - self._cpu_start_s
        rows = sorted(self._rows)
        columns = [np.array(column) for column in zip(*rows, strict=True)] if rows else [np.empty(0)] * 5
        scheduled_s, sent_s, finished_s, first_s, tokens = columns
        return Run(
            loop=loop,
            duration_s=duration_s,
            scheduled_s=scheduled_s,
            sent_s=sent_s,
            finished_s=finished_s,
            first_s=first_s,
            tokens=tokens.astype(np.int64),
            failures=dict(self._failures),
            client_cpu_s=cpu_s,
        )


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    unfinished = [task for task in tasks if not task.done()]
    for task in unfinished:
        task.cancel()
    await asyncio.gather(*unfinished, return_exceptions=True)
