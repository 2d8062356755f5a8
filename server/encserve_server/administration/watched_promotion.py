"""A promotion in three parts: a candidate answers a share, then everybody, and is watched all the time. Where it does
worse than the version before, that one answers again, without anybody being asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from encserve import EncserveError
from encserve_lifecycle.watch.judgement import Finding, State, enough, worse
from encserve_lifecycle.watch.page import Outcome
from encserve_lifecycle.watch.watch import ALL, CANARY, Watch
from encserve_server.errors import PromotionFailed

CANARY_PART = 1 / 6
"""Of the time of a watch, for which the version is a candidate."""
LOOK_S = 2.0
"""Seconds between looks: the server tells its counts once a second."""
GRACE_S = 60.0
"""For which it is looked again where the last look of a phase was not the last word, and gone back again where that
fails and changes nothing, as while an export has the lock, or a server that died starts again. A server that is not
there at any look for as long is gone."""
DEATHS = 2
"""Of the server during a watch, with which a version is taken back: one may have come from anywhere."""
KEPT, ROLLED_BACK, UNKNOWN, LEFT = "kept", "rolled back", "kept, not enough traffic", "left as others made it"
UNSEEN, DIED = "kept, not seen", "kept, the server died once"


class Versions(Protocol):
    """What is done with the versions of a pipeline; each raises PromotionFailed, and other EncserveErrors where the
    server does not answer."""

    def canary(self, version: int, share: float, *, at_least: bool = False) -> None:
        """Let a version answer a share of the callers, or `at_least` that, where it has a larger one already."""

    def end_canary(self) -> None:
        """Let the active version answer all callers."""

    def promote(self, version: int) -> int:
        """Let a version answer all callers."""

    def rollback(self, *, of: int | None = None) -> int:
        """Let the version before `of` answer all callers."""

    def rollback_stopped(self, *, of: int | None = None) -> int:
        """Let the version before `of` be the one that the next start serves, where no server runs. Returns it."""

    def end_canary_stopped(self, *, of: int) -> None:
        """Let the active version answer all callers of the next start, and the candidate `of` none, where no server
        runs."""

    def is_gone(self) -> bool:
        """Whether no server answers, and none runs on the repository; raises nothing."""


@dataclass(frozen=True)
class Bad:
    """What a version is taken back for."""

    name: str
    """What is worse."""
    because: str
    """What was seen of it."""
    without_server: bool = False
    """Whether the server is gone, so that the version can only be taken back for its next start."""


class ChangedByOthers(Exception):
    """The versions of the pipeline are not those any more that the watch left."""


@dataclass(frozen=True, kw_only=True)
class WatchedPromotion:
    """Promotes a version and watches it."""

    watch: Watch
    versions: Versions
    stated: Callable[[], tuple[int | None, int | None]]
    """Gives the active version and the candidate that the repository states."""
    is_held: bool
    """Whether the server holds the repository, as `encserve serve` does, so that it is known when it is gone. Of one
    that does not nobody knows: the network may be broken."""
    report: Callable[[str], None]
    """Takes what is done, line by line."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def run(self, *, duration_s: float, share: float) -> Outcome:
        """Promote the version, with a `share` of the callers first. Returns how it ended.

        Raises:
            PromotionFailed: a step failed, and its message says which version answers.
        """
        try:
            return self._run(duration_s, share)
        except ChangedByOthers as error:
            self.report(str(error))
            return Outcome(verdict=LEFT, because=str(error))

    def _run(self, duration_s: float, share: float) -> Outcome:
        version, before = self.watch.candidate.version, self.watch.before.version
        as_canary, as_active = (before, version), (version, None)
        self.versions.canary(version, share, at_least=True)  # who has the version already keeps it
        try:
            self.watch.begin(CANARY)
            bad = self._watched(duration_s * CANARY_PART, as_canary)
            if not bad:
                self._promote()
        except ChangedByOthers:
            raise
        except BaseException as error:  # Ctrl-C, too: nobody would watch the candidate any more
            self._abandon(error)
            raise
        if bad:
            return self._back(bad, as_canary, self.versions.end_canary, stopped=self._end_canary_stopped)
        self.watch.begin(ALL)
        try:
            bad = self._watched(duration_s * (1 - CANARY_PART), as_active)
        except KeyboardInterrupt:
            self.report(f"version {version} goes on answering everybody, and nobody watches it any more")
            raise
        if bad:
            roll_back, stopped = (
                partial(each, of=version) for each in (self.versions.rollback, self.versions.rollback_stopped)
            )
            return self._back(bad, as_active, roll_back, stopped=stopped)
        return self._kept()

    def _promote(self) -> None:
        if not self.watch.sees:
            raise PromotionFailed(
                f"the server's metrics cannot be read any more, so version {self.watch.candidate.version} is not "
                "promoted, and does not answer a share of the callers any more"
            )
        self.watch.stand_still()
        self.versions.promote(self.watch.candidate.version)

    def _abandon(self, why: BaseException) -> None:
        """End the canary, where it is still there and of this version."""
        version = self.watch.candidate.version
        try:
            if self.stated()[1] == version:
                if self._is_gone():
                    self._end_canary_stopped()
                else:
                    self.versions.end_canary()
        except (EncserveError, OSError) as error:
            raise PromotionFailed(
                f"version {version} may still answer a share of the callers, and nobody watches it; `encserve canary "
                f"{self.watch.candidate.pipeline} --end` ends that: {error} (after: {why or type(why).__name__})"
            ) from why

    def _watched(self, duration_s: float, expected: tuple[int, int | None]) -> Bad | None:
        """Look until the time is over, and a little longer where the last look is not the last word. Returns what the
        version is rolled back for: what two looks in a row show, as a step may be stopped in the middle of telling its
        counts; that the server died again; or that it is gone, and nobody starts it.

        Raises:
            ChangedByOthers: active version and candidate are not the expected ones.
            PromotionFailed: what the repository states is damaged.
        """
        end_s, died = self.clock() + duration_s, self.watch.deaths
        suspected: Finding | None = None
        gone_s: float | None = None  # when the server was found gone, since which it was at every look
        while (
            (left_s := end_s - self.clock()) > 0
            or gone_s is not None
            or (left_s > -GRACE_S and (suspected is not None or not self.watch.sees))
        ):
            self.sleep(min(LOOK_S, left_s) if left_s > 0 else LOOK_S)
            try:
                self._check_unchanged(expected)
                findings = self.watch.look()
            except OSError as error:
                self.report(f"the metrics, or the repository, cannot be read, and are asked again: {error}")
                if not self._is_gone():
                    gone_s = None
                elif gone_s is None:
                    gone_s = self.clock()
                elif self.clock() - gone_s > GRACE_S:
                    return self._gone()
                continue
            gone_s = None
            if self.watch.deaths > died:
                died = self.watch.deaths
                self.report(f"the server began anew: {_times(died)} since the watch began")
            if died >= DEATHS:
                version = self.watch.candidate.version
                return Bad("server", f"it died {_times(died)} since version {version} answers callers, and began anew")
            if (bad := worse(findings)) and suspected:
                return Bad(bad.signal.name, in_a_sentence(bad))
            suspected = bad
        return Bad(suspected.signal.name, in_a_sentence(suspected)) if suspected else None

    def _is_gone(self) -> bool:
        return self.is_held and self.versions.is_gone()

    def _gone(self) -> Bad:
        version = self.watch.candidate.version
        because = f"it is gone since version {version} answers callers, and nobody started it again for {GRACE_S:.0f} s"
        return Bad("server", because, without_server=True)

    def _check_unchanged(self, expected: tuple[int, int | None]) -> None:
        if (found := self.stated()) != expected:
            active, candidate = (f"version {each}" if each else "none" for each in found)
            raise ChangedByOthers(
                f"somebody else made {active} of {self.watch.candidate.pipeline} the active one, and {candidate} the "
                "candidate: the watch ends and changes nothing"
            )

    def _back(
        self,
        bad: Bad,
        expected: tuple[int, int | None],
        back: Callable[[], object],
        *,
        stopped: Callable[[], int],
    ) -> Outcome:
        """Go `back`, or, where the server is gone, do what is done while it is `stopped`. What fails is tried again for
        a while, as long as the repository states the `expected` versions.

        Raises:
            ChangedByOthers: it states others, and the server is gone.
            PromotionFailed: it failed to the last.
        """
        began_s = self.clock()
        self.report(f"version {self.watch.candidate.version} is worse by its {bad.name}: {bad.because}")
        while True:
            is_last = self.clock() - began_s > GRACE_S
            try:
                if (bad.without_server or is_last) and self._is_gone():
                    self._check_unchanged(expected)
                    next_ = f"no server answers, and its next start serves version {stopped()}"
                    return Outcome(verdict=ROLLED_BACK, because=f"{bad.because}; {next_}")
                back()
                break
            except (EncserveError, OSError) as error:
                if is_last or not self._states(expected):
                    worse_ = f"version {self.watch.candidate.version} is worse ({bad.because})"
                    raise PromotionFailed(f"{worse_}: {error}") from error
                self.report(f"it is tried again: {error}")
                self.sleep(LOOK_S)
        took_s = self.clock() - began_s
        self.report(f"version {self.watch.before.version} answers everybody again, after {took_s:.1f} s")
        return Outcome(verdict=ROLLED_BACK, because=bad.because, took_s=took_s)

    def _end_canary_stopped(self) -> int:
        """Let the candidate answer nobody at the next start. Returns the version that does."""
        self.versions.end_canary_stopped(of=self.watch.candidate.version)
        return self.watch.before.version

    def _states(self, expected: tuple[int, int | None]) -> bool:
        try:
            return self.stated() == expected
        except (PromotionFailed, OSError):
            return False

    def _kept(self) -> Outcome:
        if not self.watch.sees:
            unseen = "the server's metrics could not be read at the end, so whether it is worse nobody knows"
            return Outcome(verdict=UNSEEN, because=unseen)
        findings = self.watch.settled()
        self.report(_in_words(findings))
        if self.watch.deaths:
            because = "the server died once meanwhile, of which nobody knows whether it was this version"
            return Outcome(verdict=DIED, because=because)
        if enough(findings):
            return Outcome(verdict=KEPT, because="it is no worse than the version before, by all that is compared")
        open_ = ", ".join(each.signal.name for each in findings if each.state is State.UNKNOWN)
        because = f"nothing speaks against it, and there was not enough traffic to say that it is no worse: {open_}"
        return Outcome(verdict=UNKNOWN, because=because)


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def in_a_sentence(finding: Finding) -> str:
    """Return what was counted of both versions."""
    return (
        f"{finding.comparison} are {finding.candidate.share:.2%} of {finding.candidate.of:,.0f}, and were "
        f"{finding.before.share:.2%} of {finding.before.of:,.0f}"
    )


def _in_words(findings: Sequence[Finding]) -> str:
    groups = {state: [each.signal.name for each in findings if each.state is state] for state in State}
    return "; ".join(f"{', '.join(names)}: {state.value}" for state, names in groups.items() if names)
