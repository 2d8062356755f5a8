"""A watch over a version, from the moment in which it is a candidate: what is counted in each phase, and what is known
then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from .judgement import Finding, Observed, State, judge, observe, settle
from .lives import Lives
from .series import Growth, Series
from .signals import LATENCY, Served, requests

CANARY, ALL = "canary", "all"
"""The phases: the version answers a share beside the one before, or everybody in its place."""
MORE_LOAD = 1.5
"""Times the requests a second of before, above which answers that take longer say nothing of the version."""
MOST_MOMENTS = 400


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One look."""

    at_s: float
    """Seconds since the watch began."""
    phase: str
    before: Observed
    candidate: Observed
    findings: Sequence[Finding]


class Watch:
    """Compares two versions of a pipeline by what their server counts.

    As long as both are asked they are compared in the same time. Afterwards what was counted of the version before,
    until then, stands still.

    Args:
        before: the version whose place is taken.
        candidate: the version that takes it.
        read: gives the server's counters; raises OSError where it does not.
        excused: name of a signal -> why it says nothing of these versions.
        clock: gives seconds.
    """

    def __init__(
        self,
        before: Served,
        candidate: Served,
        *,
        read: Callable[[], Series],
        clock: Callable[[], float],
        excused: Mapping[str, str],
    ) -> None:
        self.before = before
        self.candidate = candidate
        self.moments: list[Moment] = []
        self._read = read
        self._clock = clock
        self._excused = dict(excused)
        self._began_s = self._phase_s = clock()
        self.phase = CANARY
        self.sees = False
        """Whether the last look of this phase could read what the server counts."""
        first = read()
        self._growth, self._lives = Growth(first), Lives(first)
        self._stands: Observed | None = None
        """What was counted of the version before, once it is asked no more."""
        self._load = 0.0
        """Requests a second of both versions together, until then."""
        self._agreed: dict[str, Finding] = {}
        """Signals of what was asked by which the versions were no worse than each other, until then."""

    @property
    def deaths(self) -> int:
        """How often the server died since the watch began, as far as was seen."""
        return self._lives.deaths

    def begin(self, phase: str) -> None:
        """Count anew from now on, without what was counted while versions were loaded."""
        with suppress(OSError):  # then from the last page
            page = self._read()
            self._growth.take(page)
            self._lives.pass_over(page)
        self._growth, self._phase_s = self._growth.anew(), self._clock()
        self.phase, self.sees = phase, False

    def stand_still(self) -> None:
        """Let what was counted of the version before at the last look stand: the other one is about to answer
        everybody."""
        self._agreed = {
            each.signal.name: each for each in self.settled() if each.signal.of_content and each.state is State.NO_WORSE
        }
        now_s = self._clock()
        self._stands = observe(self._growth, self.before)
        self._load = self._rate(now_s)

    def look(self) -> Sequence[Finding]:
        """Return what is known now, by signal. Raises OSError."""
        self.sees = False
        page = self._read()
        self._growth.take(page)
        self._lives.take(page)
        self.sees = True
        now_s = self._clock()
        before = observe(self._growth, self.before) if self._stands is None else self._stands
        candidate = observe(self._growth, self.candidate)
        excused = dict(self._excused)
        if self._stands is not None and self._rate(now_s) > MORE_LOAD * self._load:
            excused[LATENCY.name] = f"more than {MORE_LOAD:g} times the requests a second of before"
        findings = [self._agreed.get(each.signal.name, each) for each in judge(before, candidate, excused)]
        moment = Moment(
            at_s=now_s - self._began_s, phase=self.phase, before=before, candidate=candidate, findings=findings
        )
        self.moments.append(moment)
        if len(self.moments) > MOST_MOMENTS:
            self.moments = [*self.moments[:-1:2], moment]
        return findings

    def settled(self) -> Sequence[Finding]:
        """Return what the last look found, and what of it is known to be no worse; none before the first."""
        if not self.moments:
            return ()
        last = self.moments[-1]
        return settle(last.findings, last.before, last.candidate)

    def _rate(self, now_s: float) -> float:
        """Return the requests a second of this phase."""
        asked = requests(self._growth, self.before).of + requests(self._growth, self.candidate).of
        return asked / max(now_s - self._phase_s, 1e-9)
