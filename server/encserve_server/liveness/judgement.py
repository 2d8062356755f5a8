"""What the answers of pipelines, and their silence, say about them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from encserve import EncserveError

SILENT_S = 2.5
"""Seconds for which a pipeline may answer nobody while nothing of it computes; after that it is stuck."""
SILENT_THOUGH_BUSY_S = 60.0
"""The same seconds while its processes compute, or want to: a request of the largest size takes its time on a slow
machine."""
BUSY_SHARE = 0.05
"""The share of a core above which processes compute something. Idle ones want less than a hundredth."""
FAILURES = 2
"""The number of errors in a row that are no accident."""
OVERLOADED_S = 10.0
"""Seconds for which a pipeline counts as overloaded after it has refused a request."""

ANSWERS, OVERLOADED, SILENT, FAILS = "answers", "overloaded", "silent", "fails"


@dataclass(frozen=True)
class Signs:
    """Signs of life of a pipeline that does not answer us, seen without asking it."""

    answers: float
    """The number of requests that it has answered, by Triton's count; 0 where that is not known."""
    cpu_s: float
    """Seconds of processor time that the steps have used or waited for."""


class Judgement:
    """The state of each pipeline, from when it was last known to work. Any thread may read the states; one judges."""

    def __init__(self, names: Sequence[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._worked_s = dict.fromkeys(names, clock())
        self._failures = dict.fromkeys(names, 0)
        self._answers = dict.fromkeys(names, 0.0)
        self._cpu_s = dict.fromkeys(names, (clock(), 0.0))
        self._refusals: dict[str, float] = {}
        self._refused_s: dict[str, float] = {}
        self._states = dict.fromkeys(names, ANSWERS)

    @property
    def states(self) -> Mapping[str, str]:
        """Return pipeline -> one of ANSWERS, OVERLOADED, SILENT and FAILS."""
        return dict(self._states)

    def answered(self, name: str) -> None:
        """Note that a pipeline answered us."""
        self._worked_s[name] = self._clock()
        self._failures[name] = 0
        refused_s = self._refused_s.get(name)
        is_overloaded = refused_s is not None and self._clock() - refused_s < OVERLOADED_S
        self._states[name] = OVERLOADED if is_overloaded else ANSWERS

    def refused(self, name: str, refusals: float) -> None:
        """Note that the door of a pipeline has refused so many requests since it began."""
        if refusals > self._refusals.get(name, refusals):
            self._refused_s[name] = self._clock()
        self._refusals[name] = refusals

    def failed(self, name: str, error: EncserveError) -> str:
        """Note that a pipeline answered with an error. Returns what is wrong with it once that is certain, and else
        nothing."""
        self._failures[name] += 1
        self._states[name] = FAILS
        return f"{name} fails: {error}" if self._failures[name] >= FAILURES else ""

    def silent(self, name: str, error: Exception, signs: Signs) -> str:
        """Note that a pipeline did not answer us; others may get their answers. Returns what is wrong with it once that
        is certain, and else nothing."""
        now_s = self._clock()
        if signs.answers > self._answers[name]:
            self._answers[name] = signs.answers
            self._worked_s[name] = now_s
        since_s, before = self._cpu_s[name]
        self._cpu_s[name] = (now_s, signs.cpu_s)
        busy = signs.cpu_s - before > BUSY_SHARE * (now_s - since_s)
        silent_s = now_s - self._worked_s[name]
        if silent_s > (SILENT_THOUGH_BUSY_S if busy else SILENT_S):
            self._states[name] = SILENT
            return f"{name} has answered nobody for {silent_s:.1f} s: {error}"
        return ""
