"""Which call is asked about next, whether its caller has gone.

Triton says so of one request at a time, and only when it is asked, which takes a third of a millisecond or so: what
there is to send goes on between one call and the next.
"""

from __future__ import annotations

import time
from collections import deque

from .call import GenerateCall

UNDER_WAY_S, WAITING_S = 0.025, 0.2
"""Seconds from one look at a call to the next, while texts of it are decoded, and while all wait for their turn: those
take nothing from others but a place in the queue."""
PAUSES = 3
"""Times as long as a look took before the next one: with many calls each is looked at later, and others have the thread
and Triton for three quarters of the time at least."""


class Looks:
    """The calls that are not over, each until its caller has gone. One thread looks; another may add meanwhile."""

    def __init__(self) -> None:
        self._under_way = deque[tuple[float, GenerateCall]]()
        self._waiting = deque[tuple[float, GenerateCall]]()
        """Of each call when it is to be looked at, on the clock of `time.monotonic`, and the call; in that order."""
        self._turn, self._other = self._under_way, self._waiting
        self._pauses_until_s = 0.0

    def add(self, call: GenerateCall) -> bool:
        """Look at one more call from now on. Returns whether there is no other, and so perhaps nobody who looks."""
        self._under_way.append((time.monotonic() + UNDER_WAY_S, call))  # it may be so by then
        return len(self._under_way) + len(self._waiting) == 1

    @property
    def due_s(self) -> float:
        """When there is something to look at, on the clock of `time.monotonic`; infinite where there is no call."""
        heads = [queue[0][0] for queue in (self._turn, self._other) if queue]
        return max(min(heads), self._pauses_until_s) if heads else float("inf")

    def look(self) -> None:
        """Ask about the call whose turn it is, and give up its texts where its caller has gone: one that is under way
        and one that waits take turns where both are due."""
        begun_s = time.monotonic()
        call = self._next(begun_s)
        if call is None:
            return
        waits = all(text.began_s is None for text in call.texts)
        is_gone = False
        try:
            is_gone = call.is_given_up()
        finally:
            now_s = time.monotonic()
            self._pauses_until_s = now_s + PAUSES * (now_s - begun_s)
            if not is_gone:
                queue, after_s = (self._waiting, WAITING_S) if waits else (self._under_way, UNDER_WAY_S)
                queue.append((now_s + after_s, call))
        if is_gone:
            call.give_up_texts()

    def _next(self, now_s: float) -> GenerateCall | None:
        """Take out the call whose turn it is; None where none is due. Those that are over are left out."""
        for _ in range(2):
            self._turn, self._other = self._other, self._turn
            while self._turn and self._turn[0][0] <= now_s:
                _, call = self._turn.popleft()
                if not call.is_over:
                    return call
        return None
