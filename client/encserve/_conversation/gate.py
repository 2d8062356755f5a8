"""How many requests a client has in flight in one lane of a pipeline: the others wait in the client, in their order,
where no server has to hold them.

A server refuses what would wait too long, and a burst of calls would spend its retries on that in an instant. So the
burst waits here. As answers come, the gate knows how much work a second brings, and refuses what cannot be done before
its deadline, while its caller can still do something else.

A burst may begin slowly: a thousand threads start, connections are made, a server is cold, all on the same cores
perhaps. That says nothing of what comes after, so the gate watches for a part of a request's time before it refuses it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from encserve._conversation.deadline import Deadline
from encserve._conversation.pace import Pace
from encserve._errors import Overloaded

MARGIN = 1.2
"""A request is refused if it would take this many times what is left until its deadline."""
WATCHED = 1 / 3
"""Nobody is refused before the places were taken for this share of their timeout. Work that needs 60 % of its deadline
is still done where nothing at all was done in the first third."""
WATCHED_OF_FEW = 1 / 2
"""The same, before half the places have had an answer."""
LOOK_S = 0.05
"""How long after an answer the waiting requests are looked through, in seconds: others may come with it."""


@dataclass(eq=False)
class Ticket:
    """One request at the gate."""

    work: float
    """What it costs, in tokens at most."""
    deadline: Deadline
    wake: Callable[[], None]
    """Called once, by the thread that decides it while it waits."""
    granted: bool = False
    refusal: Overloaded | None = None

    @property
    def decided(self) -> bool:
        """Whether it may go, or will never go."""
        return self.granted or self.refusal is not None


class Gate:
    """Lets `places` requests through at a time, first come first served. Any thread may use it."""

    def __init__(self, places: int, *, clock: Callable[[], float] | None = None) -> None:
        self._places = places
        self._clock = clock or time.monotonic
        self._lock = threading.Lock()
        self._waiting: deque[Ticket] = deque()
        self._waiting_work = 0.0
        self._inside: set[Ticket] = set()
        self._look_s: float | None = None
        """When to look through those that wait; None where no answer has come since they were."""
        self._pace = Pace(places, now_s=self._clock())

    def enter(self, work: float, deadline: Deadline, wake: Callable[[], None]) -> Ticket:
        """Take a ticket. It is granted already, refused already, or its `wake` will be called when it is decided."""
        with self._lock:
            ticket = Ticket(work, deadline, wake)
            if len(self._inside) < self._places:
                ticket.granted = True
                self._inside.add(ticket)
                self._pace.begin(self._clock())
                return ticket
            self._judge(ticket, len(self._waiting), self._waiting_work)
            if not ticket.refusal:
                self._waiting.append(ticket)
                self._waiting_work += work
            return ticket

    def leave(self, ticket: Ticket, *, answered: bool) -> None:
        """Give the place of a ticket back, or its turn if it still waits. `answered` says that its work was done."""
        with self._lock:
            now_s = self._clock()
            if ticket in self._inside:
                self._inside.remove(ticket)
                if answered and self._waiting:
                    self._pace.answered(ticket.work, now_s)
            elif not ticket.decided:
                self._waiting.remove(ticket)
                self._waiting_work -= ticket.work
            woken = self._admit()
            if self._look_s is None:
                self._look_s = now_s + LOOK_S
            elif now_s >= self._look_s and self._waiting:
                self._look_s = None
                self._pace.look(sum(each.work for each in self._inside))
                woken += self._refuse_hopeless()
        for each in woken:
            each.wake()

    def never_sent(self, ticket: Ticket) -> Overloaded:
        """The error of a ticket whose time passed while it waited."""
        words = f"the request waited all its time for one of the {self._places} places of this client"
        return _overloaded(ticket, words)

    def _admit(self) -> list[Ticket]:
        decided = []
        while self._waiting and len(self._inside) < self._places:
            ticket = self._waiting.popleft()
            self._waiting_work -= ticket.work
            if ticket.deadline.left_s() > 0:
                ticket.granted = True
                self._inside.add(ticket)
            else:
                ticket.refusal = self.never_sent(ticket)
            decided.append(ticket)
        return decided

    def _refuse_hopeless(self) -> list[Ticket]:
        kept: deque[Ticket] = deque()
        kept_work = 0.0  # those that are refused cost nobody anything
        refused = []
        for ticket in self._waiting:
            self._judge(ticket, len(kept), kept_work)
            if ticket.refusal:
                refused.append(ticket)
            else:
                kept.append(ticket)
                kept_work += ticket.work
        self._waiting, self._waiting_work = kept, kept_work
        return refused

    def _judge(self, ticket: Ticket, before: int, work_before: float) -> None:
        """Refuse a ticket that would be done too late, with so many that wait before it."""
        watched = WATCHED if 2 * self._pace.answers >= self._places else WATCHED_OF_FEW
        if self._clock() - self._pace.since_s < watched * ticket.deadline.timeout_s:
            return
        takes_s, left_s = self._pace.seconds_for(work_before + ticket.work), ticket.deadline.left_s()
        if takes_s > MARGIN * left_s:
            words = (
                f"{before} requests of this client wait before this one, and at the rate of the last answers it would "
                f"be done in {takes_s:.1f} s: {max(left_s, 0):.1f} s are left of its timeout"
            )
            ticket.refusal = _overloaded(ticket, words)


def _overloaded(ticket: Ticket, words: str) -> Overloaded:
    error = Overloaded(words)
    error.timeout_s = ticket.deadline.timeout_s
    return error
