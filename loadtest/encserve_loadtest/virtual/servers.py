"""Servers in virtual time: from when requests come to when each is answered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from encserve_loadtest.virtual.pace import STEADY, Pace, Times

Draw: TypeAlias = Callable[[np.random.Generator, int], Times]
"""Draws the service times of so many requests, in seconds of work, (n,)."""


class VirtualServer(Protocol):
    """A server that is empty before the first request comes. Times are seconds since it was started."""

    def answered_s(self, come_s: Times, rng: np.random.Generator) -> Times:
        """When each request (n,) is answered, of those that come at `come_s` (n,), in order."""
        ...

    def waited_for_s(self, users: int, begin_s: float, end_s: float, rng: np.random.Generator) -> tuple[Times, Times]:
        """When each request was sent and answered where `users` wait for answers: all that is sent until `end_s`."""
        ...


def constant_service(service_s: float) -> Draw:
    """Every request takes as long."""
    return lambda rng, count: np.full(count, service_s)


def exponential_service(service_s: float) -> Draw:
    """Exponential service times, with this mean."""
    return lambda rng, count: rng.exponential(service_s, count)


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """One line, first come first served: M/G/1 under Poisson arrivals, by Lindley's recursion.

    With several places service must be constant (M/D/c): then requests leave in the order in which they came, and each
    place serves every c-th of them.
    """

    draw: Draw
    places: int = 1
    pace: Pace = STEADY

    def answered_s(self, come_s: Times, rng: np.random.Generator) -> Times:
        """By the recursion, each place by itself: W(n+1) = max(0, W(n) + S(n) - A(n)) (Lindley, 1952)."""
        service_s = self.draw(rng, len(come_s))
        work_s = self.pace.work(come_s)
        done = np.empty(len(come_s))
        for place in range(self.places):
            own = slice(place, None, self.places)
            total = np.cumsum(service_s[own])
            done[own] = total + np.maximum.accumulate(work_s[own] - (total - service_s[own]))
        return self.pace.time(done)

    def waited_for_s(self, users: int, begin_s: float, end_s: float, rng: np.random.Generator) -> tuple[Times, Times]:
        """A place is never free while users are left: its answers follow each other."""
        busy = min(users, self.places)
        count = int((end_s - begin_s) / self.draw(rng, 100).mean() * 1.3) + 50
        begin_work = float(self.pace.work(np.array([begin_s]))[0])
        each = [begin_work + np.cumsum(self.draw(rng, count)) for _ in range(busy)]
        answered = self.pace.time(np.sort(np.concatenate(each)))
        sent = np.concatenate([np.full(users, begin_s), answered])[: len(answered)]
        kept = sent < end_s
        return sent[kept], answered[kept]


@dataclass(frozen=True, kw_only=True, eq=False)
class Batcher:
    """Takes all who wait, up to a limit, as one batch, as a dynamic batcher does; a batch takes a fixed time and the
    work of each request in it, by its length."""

    fixed_s: float
    draw: Draw
    most: int = 64

    def answered_s(self, come_s: Times, rng: np.random.Generator) -> Times:
        """Batch by batch."""
        total = np.concatenate([[0.0], np.cumsum(self.draw(rng, len(come_s)))])
        answered, free_s, first = np.empty(len(come_s)), 0.0, 0
        come, work = come_s.tolist(), total.tolist()
        last = 0
        while first < len(come):
            begin_s = max(free_s, come[first])
            limit = min(first + self.most, len(come))
            last = max(last, first + 1)
            while last < limit and come[last] <= begin_s:
                last += 1
            free_s = begin_s + self.fixed_s + work[last] - work[first]
            answered[first:last] = free_s
            first = last
        return answered

    def waited_for_s(self, users: int, begin_s: float, end_s: float, rng: np.random.Generator) -> tuple[Times, Times]:
        """Users come back with the end of their batch: batches of as many as there are users, or as a batch holds."""
        waiting: list[float] = [begin_s] * users
        now_s, sent, answered = begin_s, [], []
        while waiting and now_s < end_s:
            batch, waiting = waiting[: self.most], waiting[self.most :]
            now_s += self.fixed_s + float(self.draw(rng, len(batch)).sum())
            sent += batch
            answered += [now_s] * len(batch)
            waiting += [now_s] * len(batch)
        return np.array(sent), np.array(answered)


def by_length(mean_s: float, *, spread: float) -> Draw:
    """Work that grows with the length of a text; lengths are log-normal with this spread (of the logarithm)."""
    return lambda rng, count: rng.lognormal(np.log(mean_s) - spread**2 / 2, spread, count)
