"""What the tokenize step has sent on to an encode step that says nothing of its load, and how fast that computes.

After the requests that it lets on the door sends a marker: a request of one token, straight to the encode step. What
waits before a network is a queue, first in, first out, so when the marker is answered, whatever was sent before it has
been computed or has failed. That holds for every engine with one instance, which computes one batch after the other;
the launcher refuses several. Nothing of it is in the requests of callers. A marker that the queue refuses, where an
operator has bounded it, says nothing of what was sent before it, and is sent again.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from ...instance.lanes import BULK, INTERACTIVE
from ...instance.load_page import Load
from ...instance.loops import Loop, Report

ROOM_S = 0.5
"""Seconds of work that the encode step is to have waiting."""
FIRST_TOKENS = 2_048
"""The room in tokens that the encode step has before its rate is known."""
LEAST_REQUESTS = 2
"""The number of requests of any size that find room, so that the next one is there when one has been computed."""
MOST_REQUESTS = 128
"""The most requests that find room, however small: what waits at the door is dropped when its time is up, and what
waits in Triton is not."""
BULK_SHARE = 0.1
"""The share of the room for bulk work, while interactive requests are on their way."""

MARKERS = 4
"""The number of markers that may be on their way, each for as large a part of the room."""
MARKED_REQUESTS = 16
"""The number of requests after which there is a marker, however few tokens they have."""
UNMARKED_S = 0.25
"""Seconds after which there is a marker, however few the requests."""
TRANSIT_S = 0.01
"""Seconds that a request may need into the queue of the encode step; a marker waits as long, to come after it."""
POLL_S = 0.01
REFUSED_S = 0.05
"""Seconds after which a marker that was refused is sent again."""

SAMPLE_S = 0.05
"""The shortest seconds over which a rate is taken: the requests of one batch are answered together."""
PROMPT = 0.2
"""The share of that time that a marker may have come late, where the encode step had nothing to do before."""
MEMORY_S = 5.0
"""Seconds of computing of which the rate is the mean."""


class Marked(Enum):
    """What became of a marker, one of the values below."""

    COMPUTED = "computed"
    FAILED = "failed"
    """Its turn came, and the network or the server failed."""
    REFUSED = "refused"
    """It did not get into the queue, or not to its end."""


@dataclass(eq=False)
class Sent:
    """A request that was let on to the encode step."""

    lane: str
    tokens: int
    """The number of its tokens, as estimated."""
    sent_s: float = math.inf
    """The time at which the tokenize step handed it over; until then it is being tokenized."""


class SentRequests:
    """Counts requests from being let on to their answers. Several threads may call its methods.

    Args:
        mark: Sends a marker, and returns once it has been answered.
        report: Takes what goes wrong in the threads that do that.
        clock: Returns the seconds of a clock that never goes back.
    """

    def __init__(
        self,
        mark: Callable[[], Marked],
        *,
        report: Report = lambda where, error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mark = mark
        self._report = report
        self._clock = clock
        self._sent: set[Sent] = set()
        self._unmarked: list[Sent] = []
        self._rate = _Rate()
        self._changed = threading.Condition()
        self._next = threading.Lock()
        """A lock that the thread holds that waits to send the next marker."""
        self._closed = False

    def start(self) -> None:
        """Send markers from now on."""
        for number in range(MARKERS):
            Loop(
                f"marker-{number}",
                take=self._take,
                do=self._settle,
                give_up=lambda requests, error: self.forget(requests),  # else they would fill the room for ever
                report=lambda where, error: self._report("markers", error),
            ).start()

    def close(self) -> None:
        """End the threads, each when its marker is answered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def let_on(self, lane: str, tokens: int) -> Sent:
        """Count a request that is about to be sent."""
        request = Sent(lane, tokens)
        with self._changed:
            self._sent.add(request)
        return request

    def hand_over(self, requests: Iterable[Sent]) -> None:
        """Note that requests go to the encode step now; a marker has to follow."""
        with self._changed:
            for request in requests:
                request.sent_s = self._clock()
                self._unmarked.append(request)
            self._changed.notify_all()

    def load(self, lane: str) -> Load:
        """Return the load of the encode step before a request of a lane. Bulk work has all of the room when it has it
        alone."""
        with self._changed:
            share = BULK_SHARE if lane == BULK and any(each.lane == INTERACTIVE for each in self._sent) else 1.0
            before = [each for each in self._sent if share == 1 or each.lane == lane]
            tokens = sum(each.tokens for each in before)
            room = self._room() * share
            if len(before) < LEAST_REQUESTS:
                room = max(room, tokens + 1)
            elif len(before) >= MOST_REQUESTS * share:
                room = 0.0
            return Load(tokens=tokens, rate=self._rate.per_s * share, room=room)

    def tokens(self, lane: str) -> int:
        """Return the tokens of a lane that were let on and are not answered."""
        with self._changed:
            return sum(each.tokens for each in self._sent if each.lane == lane)

    def due(self) -> list[Sent]:
        """Return the requests after which a marker is to be sent now; none if it has time."""
        with self._changed:
            now_s = self._clock()
            there = [each for each in self._unmarked if each.sent_s <= now_s - TRANSIT_S]
            if not (
                sum(each.tokens for each in there) >= self._room() / MARKERS
                or len(there) >= MARKED_REQUESTS
                or any(each.sent_s <= now_s - UNMARKED_S for each in there)
            ):
                return []
            self._unmarked = [each for each in self._unmarked if each not in there]
            return there

    def answered(self, requests: Iterable[Sent], *, marked_s: float, computed: bool) -> None:
        """Note that the marker after `requests`, sent at `marked_s`, was answered."""
        with self._changed:
            requests = list(requests)
            if computed:
                tokens, since_s = sum(each.tokens for each in requests), min(each.sent_s for each in requests)
                self._rate.add(tokens, since_s=since_s, marked_s=marked_s, now_s=self._clock())
            else:
                self._rate.begin_again(self._clock())
            self._sent.difference_update(requests)

    def forget(self, requests: Iterable[Sent]) -> None:
        """Forget requests that were answered before the encode step."""
        with self._changed:
            self._sent.difference_update(requests)

    def _room(self) -> float:
        return self._rate.per_s * ROOM_S or FIRST_TOKENS

    def _take(self) -> list[Sent] | None:
        with self._next:
            return self._wait_until_due() or None

    def _settle(self, requests: list[Sent]) -> None:
        while not self._closed:
            marked_s = self._clock()
            marked = self._mark()
            if marked is not Marked.REFUSED:
                self.answered(requests, marked_s=marked_s, computed=marked is Marked.COMPUTED)
                return
            with self._changed:
                self._changed.wait_for(lambda: self._closed, REFUSED_S)

    def _wait_until_due(self) -> list[Sent]:
        while not self._closed:
            if requests := self.due():
                return requests
            with self._changed:
                self._changed.wait(POLL_S if self._unmarked else None)
        return []


class _Rate:
    """The tokens per second of an encode step, from the answers to markers."""

    def __init__(self) -> None:
        self._tokens = self._seconds = 0.0
        self._gathered = 0  # tokens since `_since_s`
        self._since_s = self._answered_s = -math.inf
        self._was_timed = False
        self._batches = 0

    @property
    def per_s(self) -> float:
        """Return the mean rate of late; 0 until the answers of two batches have come. The first marker may share its
        batch with requests after it, whose time is in what it took, and whose own markers come right after it."""
        return self._mean if self._batches > 1 else 0.0

    @property
    def _mean(self) -> float:
        return self._tokens / self._seconds if self._seconds else 0.0

    def add(self, tokens: int, *, since_s: float, marked_s: float, now_s: float) -> None:
        """Note that a marker after `tokens`, of which the first were sent at `since_s`, was answered at `now_s`."""
        least_s = SAMPLE_S
        was_idle = since_s > self._answered_s
        if was_idle:  # and may have been done before the marker came
            self._gathered, self._since_s = 0, since_s
            least_s = max(SAMPLE_S, (marked_s - since_s) / PROMPT)
        self._gathered += tokens
        self._answered_s = now_s
        took_s = now_s - self._since_s
        if took_s < least_s and not was_idle:
            if self._was_timed:  # of one batch with the marker before, with which the time of both was taken
                self._tokens += self._gathered
                self._gathered = 0
            return
        self._batches += 1
        self._was_timed = took_s >= least_s
        if was_idle and self._gathered < took_s * self._mean:
            self._was_timed = False  # its way there is in that time: it would be slower than when it is busy
        if self._was_timed:
            memory = math.exp(-took_s / MEMORY_S)
            self._tokens = self._tokens * memory + self._gathered
            self._seconds = self._seconds * memory + took_s
        self._gathered, self._since_s = 0, now_s

    def begin_again(self, now_s: float) -> None:
        """A marker failed at `now_s`: what was before it may have hung for a minute, which is no time of computing."""
        self._gathered, self._since_s, self._answered_s, self._was_timed = 0, now_s, now_s, False
