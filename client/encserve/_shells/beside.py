"""Conversations beside their caller, on as many threads as a client may have requests in flight.

A conversation that waits for its turn in a gate has no thread: what decides its ticket puts it on one. So a thousand
callers with many requests each start no more threads than there are places.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

from encserve._conversation.effects import Effect, Enter
from encserve._conversation.gate import Gate, Ticket
from encserve._errors import TransportError
from encserve._shells.stop import Stop

T = TypeVar("T")

LATE_S = 1.0
"""How often it is looked, in seconds, whether a conversation past its deadline waits for a turn."""


class Threads:
    """The threads of a client: for each gate as many as it has places, and as many for what goes through none."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._pools: dict[Gate | None, ThreadPoolExecutor] = {}
        self._begun: set[Gate | None] = set()
        """The gates that have a thread."""
        self._lock = threading.Lock()

    def submit(self, gate: Gate | None, work: Callable[[], None]) -> None:
        """Do work on a thread of a gate.

        Raises:
            TransportError: the process can start no thread, and the gate has none.
        """
        with self._lock:
            if gate not in self._pools:
                self._pools[gate] = ThreadPoolExecutor(self._places, thread_name_prefix="encserve")
            try:
                self._pools[gate].submit(work)
            except RuntimeError as error:  # the work is queued all the same, for the threads that there are
                if gate not in self._begun:
                    raise TransportError(f"the request has no thread: {error}") from error
            self._begun.add(gate)

    def close(self) -> None:
        """Let all threads end when their work is done."""
        with self._lock:
            for pool in self._pools.values():
                pool.shutdown(wait=False)
            self._pools.clear()
            self._begun.clear()


class Held(Generic[T]):
    """One conversation, which begins at once and ends where `stop` is called."""

    def __init__(
        self, talk: Generator[Effect, Any, T], do: Callable[[Effect], Any], *, threads: Threads, stop: Stop
    ) -> None:
        """`do` does what the conversation asks for, but for taking its turn."""
        self.future: Future[T] = Future()
        """The result of the conversation, or its error."""
        self._talk = talk
        self._do = do
        self._threads = threads
        self._stop = stop
        self._lock = threading.Lock()
        self._enter: Enter | None = None
        self._ticket: Ticket | None = None
        """The turn that it waits for; None where it does not."""
        effect = next(talk)
        if isinstance(effect, Enter):
            self._wait_for_turn(effect)
        else:
            threads.submit(None, lambda: self._proceed(lambda _: effect, None))

    def result(self) -> T:
        """Wait for its end. Raises what it raises."""
        while not self.future.done():
            wait([self.future], timeout=self.patience_s)
            self.hasten()
        return self.future.result()

    @property
    def patience_s(self) -> float | None:
        """How long to wait for its end before it is to be hastened, in seconds; None for as long as it takes."""
        if self._enter is None:
            return None
        left_s = self._enter.deadline.left_s()
        return left_s if left_s > 0 else LATE_S

    def hasten(self) -> None:
        """Let it wait for its turn no longer, if it does so past its deadline."""
        if self._enter is not None and self._enter.deadline.left_s() <= 0:
            self._turn_came()

    def _wait_for_turn(self, enter: Enter) -> None:
        with self._lock:  # a thread that decides the ticket right now waits until it is known
            self._enter = enter
            self._ticket = enter.gate.enter(enter.work, enter.deadline, self._turn_came)
            decided = self._ticket.decided
        if decided or not self._stop.add(self._turn_came):
            self._turn_came()

    def _turn_came(self) -> None:
        """Go on, as the ticket is decided, or is not waited for any more."""
        with self._lock:
            enter, ticket = self._enter, self._ticket
        if enter is None or ticket is None:
            return
        if not ticket.granted:  # it ends at once, and its threads may all be busy
            self._take_turn(enter, ticket)
            return
        try:
            self._threads.submit(enter.gate, lambda: self._take_turn(enter, ticket))
        except TransportError as error:
            self._take_turn(enter, ticket, error)

    def _take_turn(self, enter: Enter, ticket: Ticket, error: TransportError | None = None) -> None:
        with self._lock:
            if self._ticket is not ticket:  # it was taken: several may say that it came
                return
            self._ticket = None
        self._stop.discard(self._turn_came)
        try:
            if error is not None:
                raise error
            self._stop.check()
        except TransportError as ended:
            enter.gate.leave(ticket, answered=False)
            self._proceed(self._talk.throw, ended)
        else:
            self._proceed(self._talk.send, ticket)

    def _proceed(self, step: Callable[[Any], Effect], outcome: Any) -> None:
        """Go on until it ends, or waits for its turn."""
        while True:
            try:
                effect = step(outcome)
            except StopIteration as end:
                self.future.set_result(end.value)
                return
            except BaseException as error:
                self.future.set_exception(error)
                return
            if isinstance(effect, Enter):
                self._wait_for_turn(effect)
                return
            try:
                step, outcome = self._talk.send, self._do(effect)
            except BaseException as error:
                step, outcome = self._talk.throw, error
