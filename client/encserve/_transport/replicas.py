"""Which of several replicas is asked next: each in its turn, but first the one that owes the fewest answers, and those
that were down a moment ago after the others.

A host that vanishes without a word owes its answers until TCP or their callers give up. So it gets no more of them than
the others have in flight, where turns alone would let it keep every request in the end.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from encserve._messages import InferRequest

AVOIDED_S = 1.0
"""For how long a replica that was down is asked only where no other is left, in seconds."""


@dataclass(eq=False)
class Replica:
    """One server."""

    address: str
    channel: Any
    stub: Any
    connected: Callable[[], bool]
    """Whether its channel is connected."""
    turn: int = -1
    """When it was last asked, counted in requests to all replicas."""
    in_flight: int = 0
    """Answers that it owes."""
    down_until_s: float = 0.0


class Replicas:
    """The replicas of one server, in turn. Threads may share it."""

    def __init__(self, replicas: Sequence[Replica], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.all = tuple(replicas)
        self._clock = clock
        self._turns = itertools.count()
        self._lock = threading.Lock()
        self.asked: WeakKeyDictionary[InferRequest, Replica] = WeakKeyDictionary()
        """The replica that was asked each request, for as long as anything refers to the request."""
        self.given_up: WeakSet[InferRequest] = WeakSet()
        """The requests whose answers nobody waits for."""

    @contextmanager
    def asking(self) -> Iterator[Replica]:
        """The one to ask now, which owes an answer as long as the block lasts: of those that are up and owe the fewest
        the one that was asked the longest ago, so that the work of one that is down is shared by all others."""
        if len(self.all) == 1:
            yield self.all[0]
            return
        with self._lock:
            now_s = self._clock()
            chosen = min(self.all, key=lambda each: (each.down_until_s > now_s, each.in_flight, each.turn))
            chosen.turn = next(self._turns)
            chosen.in_flight += 1
        try:
            yield chosen
        finally:
            with self._lock:
                chosen.in_flight -= 1

    def give_up(self, request: InferRequest) -> Replica | None:
        """Note that nobody waits for the answer to a request; returns the replica that
        owes it, which should hear so; None where that was noted before."""
        if request in self.given_up:
            return None
        self.given_up.add(request)
        return self.asked.get(request) or self.all[0]

    def close(self) -> None:
        """Close the channels of `grpc`."""
        for replica in self.all:
            replica.channel.close()

    def was_down(self, replica: Replica) -> None:
        """Ask the others for a while."""
        replica.down_until_s = self._clock() + AVOIDED_S
