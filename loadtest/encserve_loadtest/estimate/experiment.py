"""The runs of a search so far: the curve through them, which rate to measure next, and the capacity that follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from encserve_loadtest.estimate.capacity import Capacity, Confidence
from encserve_loadtest.estimate.crossing import Crossing, find_crossing
from encserve_loadtest.estimate.record import Count, Record
from encserve_loadtest.estimate.saturation import Saturation
from encserve_loadtest.estimate.stall import Stall, find_stalls, set_aside
from encserve_loadtest.estimate.warm_up import warm_up_share
from encserve_loadtest.quantities import milliseconds, percent, rounded

ALLOWED = 0.01
"""The share of the requests that may be late: those above the 99th percentile."""
MARGIN = 0.025
"""The probability that is left out at either end of an interval."""

FILLS = 5.0
"""A run must be so many times as long as its queue takes to get as long as the target."""
CLUSTER = 4.0
"""Dispersion of late requests over the length of an exponential overshoot that drains; in simulated M/D/1, M/D/4 and
M/M/1 it is 3.3 to 4.8 near saturation."""
LOCAL = 3.5
"""Runs beyond the crossing by so much, in the logit of the late share, say nothing of where it is."""
MIN_EPISODES = 2.0
"""For fewer independent episodes of late requests there is no interval."""
IMPOSSIBLE_LOAD = 0.02
"""A capacity below this share of saturation is none, and an interval that reaches below it may hold none."""
MOST_WARM_UP = 0.4
MOST_STALLS = 2
"""More standstills than these are not set aside: they are how the server is."""


@dataclass(kw_only=True)
class Experiment:
    """The runs so far."""

    saturation: Saturation
    target_s: float
    pilots: list[Record] = field(default_factory=list)
    """Short runs that find about where to measure."""
    runs: list[Record] = field(default_factory=list)
    """Long ones near the crossing."""
    _stalls: dict[Record, list[Stall]] = field(default_factory=dict)

    def free_share(self, rate_per_s: float) -> float:
        """The share of the server that a rate leaves free."""
        return max(1 - rate_per_s / self.saturation.high_per_s, 1e-3)

    def fill_s(self, rate_per_s: float) -> float:
        """How long a queue takes to grow until requests are late.

        A queue that gets long does so as it empties when time is turned back: as fast as the server works it off when
        it is left alone, by the free share (Anantharam, "How large delays build up in a GI/G/1 queue", Queueing Systems
        5, 1989). No run shorter than this can show what the rate does.
        """
        return self.target_s / self.free_share(rate_per_s)

    def first_per_s(self) -> float:
        """Where to begin: the heavy-traffic limit of constant service times (Kingman, 1961), with what is left of the
        target after the service itself."""
        wait = max(self.target_s - self.saturation.alone_s, 1e-9) * self.saturation.per_s
        return self.saturation.per_s * min(max(1 - math.log(1 / ALLOWED) / 2 / wait, 0.15), 0.97)

    @property
    def _all(self) -> list[Record]:
        return [*self.pilots, *self.runs]

    def _stalls_of(self, record: Record) -> list[Stall]:
        if record not in self._stalls:
            self._stalls[record] = find_stalls(record, target_s=self.target_s)
        return self._stalls[record]

    def crossing(self) -> Crossing:
        """What the runs say of the rate at which the target is just held."""
        return self._fitted()[0]

    def _fitted(self) -> tuple[Crossing, list[Count], list[float]]:
        """The crossing, the runs that it comes from, and their dispersions."""
        counts = self._counts()
        dispersions = self._dispersions(counts)
        crossing = self._fit(counts, dispersions)
        per_log = math.log(1 / ALLOWED) / math.log(self.saturation.high_per_s / crossing.rate_per_s)
        near = [math.log(each.rate_per_s / crossing.rate_per_s) * per_log <= LOCAL for each in counts]
        if all(near) or not any(near):
            return crossing, counts, dispersions
        counts = [each for each, kept in zip(counts, near, strict=True) if kept]
        dispersions = self._dispersions(counts)
        return self._fit(counts, dispersions), counts, dispersions

    def _fit(self, counts: Sequence[Count], dispersions: Sequence[float]) -> Crossing:
        return find_crossing(
            counts,
            dispersions,
            allowed=ALLOWED,
            saturation_per_s=self.saturation.high_per_s,
            idle=Count(
                rate_per_s=0.0,
                requests=self.saturation.alone_requests,
                episodes=np.ones(self.saturation.alone_late),
            ),
        )

    def _counts(self) -> list[Count]:
        """What was late in each run after its warm-up: the longer of what is seen and what theory asks for."""
        records = self._all
        if sum(len(self._stalls_of(each)) for each in records) <= MOST_STALLS:
            records = [set_aside(each, stalls) if (stalls := self._stalls_of(each)) else each for each in records]
        share = warm_up_share(records[len(self.pilots) :], target_s=self.target_s)
        counts = [
            record.count(
                target_s=self.target_s,
                from_s=min(
                    max(share * record.duration_s, self.fill_s(record.rate_per_s)), MOST_WARM_UP * record.duration_s
                ),
            )
            for record in records
        ]
        return [each for each in counts if each.requests]

    def _dispersions(self, counts: Sequence[Count]) -> list[float]:
        """Of the number of late requests of each run.

        Episodes are independent and come at random, so the variance of their sum is the expected sum of their squares
        (a compound Poisson process). They get longer with the rate as the inverse square of the free share, by which
        those of all runs are pooled; and they are not taken to be shorter than those of a queue in theory, since few
        episodes underrate their own size.
        """
        growth = [self.free_share(each.rate_per_s) ** -2 for each in counts]
        squares = sum(float(np.sum(each.episodes**2)) for each in counts)
        late = sum(each.late * factor for each, factor in zip(counts, growth, strict=True))
        scale = squares / late if late else 0.0
        overshoot_s = self.target_s / math.log(1 / ALLOWED)
        theory = [CLUSTER * each.rate_per_s * overshoot_s / self.free_share(each.rate_per_s) for each in counts]
        return [max(scale * factor, least, 1.0) for factor, least in zip(growth, theory, strict=True)]

    def capacity(self) -> Capacity:
        """The capacity by all runs."""
        crossing, counts, dispersions = self._fitted()
        rate_per_s = min(crossing.rate_per_s, self.saturation.low_per_s)
        reasons, needed_s = [], []
        spent_s = sum(each.duration_s for each in self._all)
        episodes = sum(each.late / factor for each, factor in zip(counts, dispersions, strict=True))
        if episodes < MIN_EPISODES:
            reasons.append(
                f"late answers came in {rounded(episodes, 2)} independent episodes, {MIN_EPISODES:g} are needed"
            )
            needed_s.append(spent_s * min(MIN_EPISODES / max(episodes, 0.1), 20.0))
        if crossing.quantile_per_s(MARGIN) < IMPOSSIBLE_LOAD * self.saturation.per_s:
            reasons.append(
                f"it may be that no rate holds the target: on an idle server, whose median is "
                f"{milliseconds(self.saturation.alone_s)}, about {percent(ALLOWED)} of the answers are late already"
            )
        longest_s = max((each.duration_s for each in self.runs), default=0.0)
        fill_s = self.fill_s(rate_per_s)
        if longest_s < FILLS * fill_s:
            reasons.append(
                f"near this rate a queue takes {rounded(fill_s)} s to make answers late, and the longest run took "
                f"{rounded(longest_s)} s"
            )
            needed_s.append(spent_s * FILLS * fill_s / max(longest_s, 1.0))
        return Capacity(
            rate_per_s=rate_per_s,
            low_per_s=min(crossing.quantile_per_s(MARGIN), rate_per_s),
            high_per_s=max(min(crossing.quantile_per_s(1 - MARGIN), self.saturation.high_per_s), rate_per_s),
            confidence=Confidence.RANGE if reasons else Confidence.INTERVAL,
            reasons=(*reasons, *self._stall_words()),
            needed_s=max(needed_s, default=None),
        )

    def _stall_words(self) -> list[str]:
        stalls = [stall.length_s for record in self._all for stall in self._stalls_of(record)]
        if not stalls:
            return []
        times = "once" if len(stalls) == 1 else f"{len(stalls)} times"
        words = f"the server stood still {times}, for {rounded(max(stalls))} s at the longest"
        if len(stalls) > MOST_STALLS:
            return [f"{words}; these are counted"]
        return [f"{words}; what came then is not counted. Where that happens more often, less is held"]
