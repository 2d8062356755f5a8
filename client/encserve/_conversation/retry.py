"""When to try again: exponential backoff with full jitter, inside a deadline.

The schedule reads a clock and a random source that it is given, and never sleeps: a conversation asks its shell to.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from encserve._conversation.deadline import Deadline
from encserve._conversation.effects import Effect, Sleep, Talk
from encserve._errors import (
    EncserveError,
    InvalidInput,
    ModelNotFound,
    Overloaded,
    RateLimited,
    TransportError,
    Unavailable,
)

FIRST_CONTACT_S = 5.0
"""How long a server that has never answered this client is asked again, in seconds: its address may be wrong. A
supervised restart takes less."""
LACKING_ATTEMPTS = 32
"""How often a version that one replica lacks is asked for: one of ten that has it is found with 97 %."""
LACKING_S = 0.05
"""The longest wait between two of these attempts, in seconds. Such a refusal costs a replica next to nothing."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often and how fast to repeat a request that found the server unavailable.

    Before attempt k + 1 the client waits for a random time between 0 and `min(maximum_s, initial_s * 2 ** (k - 1))`:
    full jitter, so that clients which were refused together do not come back together. A gateway that said when to come
    back is asked so much later.
    """

    attempts: int | None = None
    """How often a request is sent at most to a server that is down; 1 turns all retries off. Without it the server is
    asked again until the deadline of the call, and for five seconds where it has never answered this client, as its
    address may be wrong. A server that refuses for lack of room is asked until the deadline in any case."""
    initial_s: float = 0.1
    """The longest wait before the second attempt, in seconds."""
    maximum_s: float = 2.0
    """The longest wait before any attempt, in seconds."""

    def __post_init__(self) -> None:
        if self.attempts is not None and self.attempts < 1:
            raise InvalidInput(f"attempts is {self.attempts}, it must be 1 or more")
        if not 0 <= self.initial_s <= self.maximum_s:
            raise InvalidInput(f"initial_s is {self.initial_s}, it must be between 0 and maximum_s, {self.maximum_s}")


@dataclass
class Contact:
    """Whether the server of a client has ever answered it, be it with a refusal."""

    made: bool = False


class Schedule:
    """The attempts of one request: how much time is left, and how long to wait before the next."""

    def __init__(
        self,
        retry: Retry,
        deadline: Deadline,
        contact: Contact,
        *,
        version: str = "",
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`version` is the one that is asked for, where one is: another replica may have it."""
        self.deadline = deadline
        self._retry = retry
        self._contact = contact
        self._repeated = (Unavailable, ModelNotFound) if version else (Unavailable,)
        self._uniform = uniform
        self._failures = 0
        self._begun_left_s = deadline.left_s()
        self._times_down = 0
        self._times_lacking = 0

    def left_s(self) -> float:
        """Seconds until the deadline."""
        return self.deadline.left_s()

    def answered(self) -> None:
        """Note that the server has answered."""
        self._contact.made = True

    def next_delay_s(self, error: EncserveError) -> float | None:
        """Count one failure. The seconds to wait before the next attempt, or None if there shall be none."""
        error.timeout_s = self.deadline.timeout_s  # of the call with all its retries
        self._failures += 1
        if isinstance(error, Overloaded) or not isinstance(error, TransportError):
            self.answered()
        if not isinstance(error, self._repeated) or self._retry.attempts == 1 or self._in_vain(error):
            return None
        delay_s = self._uniform(0.0, self._ceiling_s(error))
        if isinstance(error, RateLimited):
            delay_s += error.retry_after_s or 0.0
        return delay_s if delay_s < self._allowed_s() else None

    def _in_vain(self, error: EncserveError) -> bool:
        """Count what an error says, and tell whether it has been said too often."""
        if isinstance(error, ModelNotFound):
            self._times_lacking += 1
            return self._times_lacking >= LACKING_ATTEMPTS
        if isinstance(error, Overloaded):
            return False
        self._times_down += 1
        return self._retry.attempts is not None and self._times_down >= self._retry.attempts

    def _ceiling_s(self, error: EncserveError) -> float:
        if isinstance(error, ModelNotFound):
            return min(self._retry.initial_s, LACKING_S)
        return min(self._retry.maximum_s, self._retry.initial_s * 2.0 ** min(self._failures - 1, 60))

    def _allowed_s(self) -> float:
        """How long a wait may be."""
        if self._contact.made or self._retry.attempts is not None:
            return self.left_s()
        return min(self.left_s(), FIRST_CONTACT_S - (self._begun_left_s - self.left_s()))


def retried(effect: Callable[[float], Effect], schedule: Schedule) -> Talk[Any]:
    """The outcome of an effect that is made with the seconds that are left, again while the schedule allows."""
    while True:
        try:
            outcome = yield effect(schedule.left_s())
        except EncserveError as error:
            delay_s = schedule.next_delay_s(error)
            if delay_s is None:
                raise
        else:
            schedule.answered()
            return outcome
        yield Sleep(delay_s)
