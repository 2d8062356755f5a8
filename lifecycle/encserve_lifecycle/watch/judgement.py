"""From the counts of two versions to what is known of the newer one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

from .evidence import NOTHING, Count, evidence_above
from .series import Growth
from .signals import ALPHA, PHASES, SIGNALS, Counts, Served, Signal


class State(Enum):
    """What is known of a version by a signal."""

    WORSE = "worse"
    NO_WORSE = "no worse"
    UNKNOWN = "not enough traffic"
    NOT_COMPARED = "not compared"


Observed: TypeAlias = Mapping[str, Counts]
"""Name of a signal -> what was counted for it."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is known by one signal, and the comparison that says most against the version."""

    signal: Signal
    state: State
    comparison: str = ""
    before: Count = NOTHING
    candidate: Count = NOTHING
    limit: float = math.inf
    """What the logarithm of the evidence must be above."""
    evidence: float = -math.inf
    """The logarithm of the evidence that the version is worse."""
    why: str = ""
    """Why nothing is compared."""


def observe(grown: Growth, served: Served) -> Observed:
    """Return what was counted of a version, by signal."""
    return {signal.name: signal.read(grown, served) for signal in SIGNALS}


def judge(before: Observed, candidate: Observed, excused: Mapping[str, str] | None = None) -> list[Finding]:
    """Return a finding for each signal: that the version is worse, or that it is not known. `excused` says of signals
    why they say nothing of these two versions.

    Each signal, each phase and each of its comparisons has its part of `ALPHA` (Bonferroni), so that all findings of a
    watch together call a version that is no worse "worse" with that chance at most, however often one looks.
    """
    return [_finding(signal, before, candidate, (excused or {}).get(signal.name, "")) for signal in SIGNALS]


def _finding(signal: Signal, before: Observed, candidate: Observed, excuse: str) -> Finding:
    old, new = before[signal.name], candidate[signal.name]
    names = sorted(old.keys() | new.keys())
    if not excuse and not names:
        excuse = "the pipeline does not count it"
    if not excuse and (missing := old.keys() ^ new.keys()):
        excuse = f"only one of the versions counts {min(missing)}"
    if excuse:
        return Finding(signal=signal, state=State.NOT_COMPARED, why=excuse)
    sides = 2 if signal.of_content else 1
    limit = math.log(len(SIGNALS) * PHASES * len(names) * sides / ALPHA)
    return max(
        (_against(signal, name, old[name], new[name], limit) for name in names),
        key=lambda each: (each.state is State.WORSE, max(0.0, each.evidence), _difference(each)),
    )


def _against(signal: Signal, name: str, before: Count, candidate: Count, limit: float) -> Finding:
    evidence = max(evidence_above(new, old, signal.margin) for new, old in _ways(signal, before, candidate))
    return Finding(
        signal=signal,
        state=State.WORSE if evidence > limit else State.UNKNOWN,
        comparison=name,
        before=before,
        candidate=candidate,
        limit=limit,
        evidence=evidence,
    )


def settle(findings: Sequence[Finding], before: Observed, candidate: Observed) -> list[Finding]:
    """Return findings of these counts with those that are not known turned into "no worse" where that is known: no
    share is larger by `sure` or more."""
    return [
        replace(each, state=State.NO_WORSE)
        if each.state is State.UNKNOWN and _is_clear(each, before, candidate)
        else each
        for each in findings
    ]


def _is_clear(finding: Finding, before: Observed, candidate: Observed) -> bool:
    signal = finding.signal
    return all(
        evidence_above(old, new, -signal.sure) > finding.limit
        for name, count in candidate[signal.name].items()
        for new, old in _ways(signal, before[signal.name][name], count)
    )


def _ways(signal: Signal, before: Count, candidate: Count) -> Iterator[tuple[Count, Count]]:
    yield candidate, before
    if signal.of_content:
        yield candidate.others, before.others


def _difference(finding: Finding) -> float:
    difference = finding.candidate.share - finding.before.share
    if math.isnan(difference):
        return 0.0
    return abs(difference) if finding.signal.of_content else difference


def worse(findings: Sequence[Finding]) -> Finding | None:
    """Return the finding that a version is rolled back for; None where there is none."""
    return next((each for each in findings if each.state is State.WORSE), None)


def enough(findings: Sequence[Finding]) -> bool:
    """Return whether the version is known to be no worse, by every signal that is compared."""
    return all(each.state in (State.NO_WORSE, State.NOT_COMPARED) for each in findings)
