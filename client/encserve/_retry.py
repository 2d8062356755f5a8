"""When to try again: exponential backoff with full jitter, inside a deadline.

The schedule reads a clock and a random source that it is given, and never sleeps: the two clients sleep for it, and the
tests do not sleep at all.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from encserve._errors import EncserveError, InvalidInput, RateLimited, Unavailable

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often and how fast to repeat a request that found the server unavailable.

    Before attempt k + 1 the client waits for a random time between 0 and `min(maximum_s, initial_s * 2 ** (k - 1))`:
    full jitter, so that clients which were refused together do not come back together. A gateway that said when to come
    back is asked so much later.
    """

    attempts: int = 5
    """How often a request is sent at most; 1 turns retries off."""
    initial_s: float = 0.1
    """The longest wait before the second attempt."""
    maximum_s: float = 2.0
    """The longest wait before any attempt."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise InvalidInput(f"attempts is {self.attempts}, it must be 1 or more")
        if not 0 <= self.initial_s <= self.maximum_s:
            raise InvalidInput(f"initial_s is {self.initial_s}, it must be between 0 and maximum_s, {self.maximum_s}")


class Schedule:
    """The attempts of one request: how much time is left, and how long to wait before the next."""

    def __init__(
        self,
        retry: Retry,
        *,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.timeout_s = timeout_s
        self._retry = retry
        self._deadline = clock() + timeout_s
        self._clock = clock
        self._uniform = uniform
        self._failures = 0

    def left_s(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - self._clock()

    def next_delay_s(self, error: EncserveError) -> float | None:
        """Count one failure. The seconds to wait before the next attempt, or None if there shall be none."""
        error.timeout_s = self.timeout_s  # of the request with all its retries
        self._failures += 1
        if not isinstance(error, Unavailable) or self._failures >= self._retry.attempts:
            return None
        ceiling_s = min(self._retry.maximum_s, self._retry.initial_s * 2 ** (self._failures - 1))
        delay_s = self._uniform(0.0, ceiling_s)
        if isinstance(error, RateLimited):
            delay_s += error.retry_after_s or 0.0
        return delay_s if delay_s < self.left_s() else None


def attempt(call: Callable[[float], T], schedule: Schedule, *, sleep: Callable[[float], None] = time.sleep) -> T:
    """Call with the seconds that are left, again while it raises `Unavailable` and the schedule allows."""
    while True:
        try:
            return call(schedule.left_s())
        except EncserveError as error:
            delay_s = schedule.next_delay_s(error)
            if delay_s is None:
                raise
        sleep(delay_s)


async def attempt_async(
    call: Callable[[float], Awaitable[T]],
    schedule: Schedule,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """`attempt`, awaited."""
    while True:
        try:
            return await call(schedule.left_s())
        except EncserveError as error:
            delay_s = schedule.next_delay_s(error)
            if delay_s is None:
                raise
        await sleep(delay_s)
