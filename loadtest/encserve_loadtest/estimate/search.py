"""The search for the capacity: short runs that find where it is, then few long ones around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from encserve_loadtest.errors import GeneratorTooSlow, TargetImpossible
from encserve_loadtest.estimate.capacity import Capacity, Confidence
from encserve_loadtest.estimate.crossing import Crossing
from encserve_loadtest.estimate.experiment import ALLOWED, FILLS, IMPOSSIBLE_LOAD, MARGIN, Experiment
from encserve_loadtest.estimate.record import Record
from encserve_loadtest.estimate.saturation import Bench, saturate
from encserve_loadtest.measurement.bottleneck import CLIENT_CPU_LIMIT
from encserve_loadtest.measurement.by_rate import by_rate
from encserve_loadtest.measurement.window import Window
from encserve_loadtest.quantities import milliseconds, percent, rounded

PILOTS = 5
PILOT_SHARE = 0.01, 0.035
"""A pilot takes at least and at most this share of the time; in between, a few times as long as its queue takes to
fill."""
LONG_FILLS = 10.0
LONG_SHARE = 1 / 8, 1 / 4
"""The same of a long run, of the time that the pilots left."""

OFFSETS = (0.0, 1.0, -0.5, 0.7, 0.0, 1.2, -0.7, 0.5)
"""Where the long runs are, beside the crossing as it is known by then, in the logit of the late share."""
FEW_EPISODES = 5.0
HIGHER = 1.0
"""Where fewer independent episodes are expected at the crossing itself, the long runs are higher by so much."""

DECISIVE = 3.0
"""A window counts although the generator was late, where even from when the requests were sent the percentile is so
many times the target: a server that is overloaded slows a generator on the same host. Not where the generator
computed all the time, and so was late to take in the answers, too."""
MAX_INVALID = 3

CONFIRMED_LOAD = 0.15
CHANCE = 0.005
"""What happens by chance more rarely than this is not chance."""


REFERENCE_S = 290.0
"""The closed loop takes the time of its constants where the whole search takes this."""


async def find_capacity(
    bench: Bench,
    *,
    target_s: float,
    time_s: float,
    note: Callable[[str], None] = lambda text: None,
    begin: Callable[[Experiment], None] = lambda experiment: None,
) -> Capacity:
    """Find the capacity of a server, real or virtual.

    Args:
        bench: what measures.
        target_s: the latency that 99 % of the requests should not exceed.
        time_s: how long to measure, beside what the bench waits for answers between the runs.
        note: told what is known after each run.
        begin: given the experiment before its first run, which a search that is stopped leaves as it is by then.

    Raises:
        PlanError: every request failed.
        TargetImpossible: the target is missed at every rate.
        GeneratorTooSlow: three windows were invalid, since the generator was late.
    """
    saturation = await saturate(bench, target_s=target_s, time_scale=time_s / REFERENCE_S)
    experiment = Experiment(saturation=saturation, target_s=target_s)
    begin(experiment)
    left_s = time_s - saturation.measured_s
    return await Search(bench, experiment, time_s=left_s, note=note).run()


class Search:
    """One search, run by run."""

    def __init__(self, bench: Bench, experiment: Experiment, *, time_s: float, note: Callable[[str], None]) -> None:
        self._bench = bench
        self._experiment = experiment
        self._time_s = self._left_s = time_s
        self._note = note
        self._invalid: list[Window] = []

    async def run(self) -> Capacity:
        """Measure for the time that there is.

        Raises:
            TargetImpossible: the target is missed at every rate.
            GeneratorTooSlow: three windows were invalid, since the generator was late.
        """
        await self._confirm_possible()
        experiment = self._experiment
        rate_per_s = experiment.first_per_s()
        for _ in range(PILOTS):
            shortest_s, longest_s = (share * self._time_s for share in PILOT_SHARE)
            length_s = min(max(4 * experiment.fill_s(rate_per_s), shortest_s), longest_s)
            while not await self._measure(rate_per_s, length_s, experiment.pilots):
                pass
            crossing = self._learnt()
            rate_per_s = crossing.rate_per_s
        shortest_s, longest_s = (share * self._left_s for share in LONG_SHARE)
        count = int(self._left_s / min(max(LONG_FILLS * experiment.fill_s(rate_per_s), shortest_s), longest_s))
        length_s = self._left_s / count
        for index in range(count):
            logit = OFFSETS[index % len(OFFSETS)] + (HIGHER if self._few(crossing.rate_per_s) else 0.0)
            highest_per_s = experiment.saturation.per_s * (1 - FILLS * experiment.target_s / length_s)
            rate_per_s = crossing.rate_per_s * math.exp(logit / crossing.slope)
            rate_per_s = min(rate_per_s, max(highest_per_s, crossing.quantile_per_s(MARGIN)))
            if await self._measure(rate_per_s, length_s, experiment.runs):  # one that is invalid had its time
                crossing = self._learnt()
        if crossing.rate_per_s < IMPOSSIBLE_LOAD * experiment.saturation.per_s:
            raise impossible(experiment, experiment.runs)
        return experiment.capacity()

    def _few(self, rate_per_s: float) -> bool:
        """Whether in all the time few independent episodes are to be expected at this rate."""
        episodes = self._time_s * self._experiment.free_share(rate_per_s) * ALLOWED * math.log(1 / ALLOWED)
        return episodes / (4 * self._experiment.target_s) < FEW_EPISODES

    async def _measure(self, rate_per_s: float, length_s: float, records: list[Record]) -> bool:
        """Measure once; returns whether the window is valid, and so is in the records."""
        window = await self._bench.at_rate(rate_per_s, duration_s=length_s)
        self._left_s -= length_s
        by_itself = window.p99_since_sent_s <= DECISIVE * window.target_p99_s
        if window.is_valid or not (by_itself or window.client_cpu_share > CLIENT_CPU_LIMIT):
            records.append(Record.of(window))
            return True
        self._invalid.append(window)
        if len(self._invalid) == MAX_INVALID:
            raise _too_slow(self._invalid)
        return False

    def _learnt(self) -> Crossing:
        crossing = self._experiment.crossing()
        low, high = (crossing.quantile_per_s(each) for each in (MARGIN, 1 - MARGIN))
        self._note(f"so far: {rounded(crossing.rate_per_s)} requests/s, between {rounded(low)} and {rounded(high)}")
        return crossing

    async def _confirm_possible(self) -> None:
        """Where even a user who is alone waits too long too often, look at a low rate, and give up if it is so
        there."""
        saturation = self._experiment.saturation
        if _tail(saturation.alone_late, ALLOWED * saturation.alone_requests) > CHANCE:
            return
        records: list[Record] = []
        while not await self._measure(CONFIRMED_LOAD * saturation.per_s, self._time_s / 16, records):
            pass
        count = records[0].count(target_s=self._experiment.target_s, from_s=0.0)
        mostly = count.late > count.requests / 2  # then it is all one episode
        if mostly or _tail(len(count.episodes), ALLOWED * count.requests) <= CHANCE:
            raise impossible(self._experiment, records)
        self._experiment.pilots += records


def at_least(windows: Iterable[Window]) -> Capacity | None:
    """What a search that could not go on shows: the highest rate of a valid window that held. None where none did."""
    held = [rate for rate, each in by_rate(windows).items() if all(window.holds for window in each)]
    if not held:
        return None
    return Capacity(rate_per_s=held[-1], low_per_s=held[-1], high_per_s=math.inf, confidence=Confidence.AT_LEAST)


def impossible(experiment: Experiment, records: Sequence[Record]) -> TargetImpossible:
    """The error that says the best that was seen: at the lowest rate at which something came."""
    lowest = min(records, key=lambda record: (len(record.latency_s) == 0, record.rate_per_s))
    late = np.count_nonzero(lowest.latency_s > experiment.target_s) / max(1, len(lowest.latency_s))
    return TargetImpossible(
        f"no rate keeps the 99th percentile under {milliseconds(experiment.target_s)}: of the answers to "
        f"{rounded(lowest.rate_per_s)} requests/s {percent(late)} took longer, and of those to one user "
        f"who was alone {experiment.saturation.alone_late} of {experiment.saturation.alone_requests}, with a median of "
        f"{milliseconds(experiment.saturation.alone_s)}"
    )


def _tail(count: int, mean: float) -> float:
    """How likely a Poisson variable of this mean is `count` or more."""
    return 1 - sum(math.exp(-mean + each * math.log(max(mean, 1e-9)) - math.lgamma(each + 1)) for each in range(count))


def _too_slow(late: list[Window]) -> GeneratorTooSlow:
    worst = max(late, key=lambda window: window.lateness_p99_s)
    return GeneratorTooSlow(
        f"the generator fell behind its own schedule at {rounded(worst.offered_per_s)} requests/s: 1 % of the requests "
        f"were sent more than {milliseconds(worst.lateness_p99_s)} late. This is no limit of the server: give the "
        "generator a core of its own, or another host"
    )
