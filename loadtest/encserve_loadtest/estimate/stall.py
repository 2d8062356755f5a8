"""A server that stands still once: it is seen in the answers, set aside, and told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from encserve_loadtest.estimate.record import Record

TIMES_THE_USUAL = 10.0
"""A pause between two answers is a stall when it is so many times the 99th percentile of such pauses ..."""
SHARE_OF_TARGET = 0.5
"""... and so much of the target ..."""
LEAST_S = 0.2
"""... and at least so long."""


@dataclass(frozen=True, kw_only=True)
class Stall:
    """A time without an answer while requests waited."""

    begin_s: float
    """Seconds from the start of the run."""
    length_s: float


def find_stalls(record: Record, *, target_s: float) -> list[Stall]:
    """The stalls of a run. What makes one is the pause, never whether the run held the target."""
    done_s = np.sort(record.finished_s[np.isfinite(record.finished_s)])
    if len(done_s) < 2:
        return []
    done_s = np.append(0.0, done_s)  # it may stand still from the beginning
    if done_s[-1] < record.duration_s:
        done_s = np.append(done_s, record.duration_s)  # what came at last may be unanswered: it stands still to the end
    # Only while something waits: from the first request that is due after the last answer, where nothing was left.
    due_s = np.where(np.isfinite(record.finished_s), record.due_s, np.inf)
    lost_s = record.due_s[(record.due_s > done_s[-2]) & ~np.isfinite(record.finished_s)]
    due_s = np.sort(np.append(due_s[np.isfinite(due_s)], lost_s[:1]))
    come = np.searchsorted(due_s, done_s[:-1], side="right")  # requests until then
    next_s = np.append(due_s, np.inf)[come]
    waiting_s = np.where(come > np.arange(len(done_s) - 1), done_s[:-1], next_s)
    pause_s = np.where(waiting_s < done_s[1:], done_s[1:] - waiting_s, 0.0)
    limit_s = max(TIMES_THE_USUAL * float(np.percentile(pause_s, 99)), SHARE_OF_TARGET * target_s, LEAST_S)
    return [
        Stall(begin_s=float(waiting_s[index]), length_s=float(pause_s[index]))
        for index in np.flatnonzero(pause_s > limit_s)
    ]


def set_aside(record: Record, stalls: Sequence[Stall]) -> Record:
    """The record without what waited in each stall and what came until the latency was back at the median.

    That is the median of what is left: where a queue took long to work off, the median of all is one of that queue.
    """
    aside = record.set_aside.copy()
    while True:
        before = aside.copy()
        usual_s = np.median(record.latency_s[~aside]) if not aside.all() else 0.0
        for stall in stalls:
            aside[_disturbed(record, stall, usual_s=float(usual_s))] = True
        if (aside == before).all():
            return replace(record, set_aside=aside)


def _disturbed(record: Record, stall: Stall, *, usual_s: float) -> slice:
    """What came from the stall on until the latency was back at `usual_s`."""
    unanswered = ~np.isfinite(record.finished_s) & (record.due_s >= stall.begin_s - LEAST_S)
    waited = unanswered | (np.isfinite(record.finished_s) & (record.finished_s > stall.begin_s))
    first = int(np.argmax(waited)) if waited.any() else len(waited)
    after = int(np.searchsorted(record.due_s, stall.begin_s + stall.length_s))
    back = np.flatnonzero(record.latency_s[after:] <= usual_s)
    return slice(first, after + int(back[0]) if len(back) else len(waited))
