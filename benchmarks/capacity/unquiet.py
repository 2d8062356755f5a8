"""What an unquiet machine does to a capacity, in virtual time: where the limits of `estimate/noise.py` come from.

    python -m benchmarks.capacity.unquiet [--plans 200] [--write docs/capacity.md]

Drift: a server of constant service whose speed is another one every half minute, and whole searches on it with the
shipped defaults. The truth is that of the long run over all speeds. Steal: what slices of 10 ms that a hypervisor takes
at random times leave of the capacity.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.capacity.known_servers import SERVERS, SERVICE_S, Known, pausing, simulated_truth_per_s, truth_per_s
from benchmarks.written import Marks, table
from encserve_loadtest.config import DEFAULT_TIME_LIMIT_S, SEARCH_SHARE
from encserve_loadtest.estimate.capacity import Capacity
from encserve_loadtest.estimate.experiment import Experiment
from encserve_loadtest.estimate.noise import Noise, judge_noise
from encserve_loadtest.estimate.search import find_capacity
from encserve_loadtest.measurement.host_watch import HostState
from encserve_loadtest.virtual.pace import Pace, pace_of
from encserve_loadtest.virtual.servers import Line, constant_service
from encserve_loadtest.virtual.virtual_bench import VirtualBench

DRIFTS = (0.0, 0.03, 0.06, 0.1, 0.2, 0.3, 0.5)
"""How much faster the machine can be at one time than at another."""
LASTS_S = 30.0
"""How long a speed lasts, on average."""
DRIFT_TARGET = 10
"""In service times: where the interval of a quiet machine is narrowest."""
STEALS = (0.003, 0.01, 0.03, 0.1)
SLICE_S = 0.01
TARGETS = (3, 10, 30)
MARKS = Marks("<!-- unquiet: benchmarks/capacity/unquiet.py writes this -->", "<!-- end of unquiet -->")


def drifting(drift: float, *, horizon_s: float, rng: np.random.Generator) -> Pace:
    """A machine whose speed is now this, now that, around 1; the fastest is `drift` faster than the slowest."""
    count = int(1.2 * horizon_s / LASTS_S) + 20
    half = np.log1p(drift) / 2
    return pace_of(rng.exponential(LASTS_S, count), np.exp(rng.uniform(-half, half, count)))


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A search on such a machine."""

    capacity: Capacity
    """As it would be said of a quiet machine."""
    noise: Noise

    def has(self, truth_per_s: float, *, widened: bool) -> bool:
        """Whether the truth is between the ends."""
        found = self.noise.applied(self.capacity) if widened else self.capacity
        return found.low_per_s <= truth_per_s <= found.high_per_s


def plan_on(drift: float, *, seed: int, time_s: float) -> Planned:
    """One whole search, with what the host watch would have seen."""
    pace = drifting(drift, horizon_s=2 * time_s, rng=np.random.default_rng((seed, 1)))
    bench = VirtualBench(
        server=Line(draw=constant_service(SERVICE_S), pace=pace), target_p99_s=DRIFT_TARGET * SERVICE_S, seed=seed
    )
    begun: list[Experiment] = []
    moments_s = [0.0]
    bench.on_window = lambda window: moments_s.append(bench.now_s)
    capacity = asyncio.run(find_capacity(bench, target_s=bench.target_p99_s, time_s=time_s, begin=begun.append))
    work_s = pace.work(np.array(moments_s))
    speeds = np.diff(work_s) / np.diff(moments_s)
    long = {record.rate_per_s for record in begun[0].runs}
    states = [
        HostState(speed=float(speed), steal_share=0.0)
        for window, speed in zip(bench.windows, speeds, strict=True)
        if window.rate_per_s in long
    ]
    return Planned(capacity=capacity, noise=judge_noise(states, others_share=0.0, server_here=True))


def drift_row(drift: float, *, plans: int, time_s: float) -> list[str]:
    """The cells of one drift."""
    known = Known(
        make=lambda rng, horizon_s: Line(
            draw=constant_service(SERVICE_S), pace=drifting(drift, horizon_s=horizon_s, rng=rng)
        ),
        saturation_per_s=100 * float(np.sqrt(1 + drift)),
        requests=2_000_000,
    )
    truth = simulated_truth_per_s(known, DRIFT_TARGET * SERVICE_S)
    found = [plan_on(drift, seed=seed, time_s=time_s) for seed in range(plans)]
    seen = float(np.median([each.noise.drift for each in found]))
    low_above = np.mean([each.capacity.low_per_s > truth for each in found])
    widths = [
        (known.high_per_s - known.low_per_s) / truth for known in (each.noise.applied(each.capacity) for each in found)
    ]
    return [
        f"{drift:.0%}",
        f"{seen:.1%}",
        f"{np.mean([each.has(truth, widened=False) for each in found]):.1%}",
        f"{low_above:.1%}",
        f"{np.mean([each.has(truth, widened=True) for each in found]):.1%}",
        f"{np.median(widths):.0%}",
        f"{np.mean([bool(each.noise.reasons) for each in found]):.0%}",
        f"{np.mean([each.noise.is_refused for each in found]):.0%}",
    ]


def steal_row(share: float) -> list[str]:
    """What a share that the hypervisor takes costs, at each target."""
    quiet = replace(SERVERS["M/D/1"], requests=1_000_000)
    mean_s = SLICE_S * (1 - share) / share

    def make(rng: np.random.Generator, horizon_s: float) -> Line:
        pace = pausing(SLICE_S, mean_s=mean_s, horizon_s=horizon_s, rng=rng)
        return Line(draw=constant_service(SERVICE_S), pace=pace)

    stolen = replace(quiet, make=make)
    lost = [
        1 - simulated_truth_per_s(stolen, target * SERVICE_S) / truth_per_s("M/D/1", target * SERVICE_S)
        for target in TARGETS
    ]
    return [f"{share:.1%}", *(f"{each:.0%}" for each in lost)]


def main() -> None:
    """Plan, count, print, write."""
    parser = argparse.ArgumentParser(prog="benchmarks.capacity.unquiet", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plans", type=int, default=200, help="of each drift (default: %(default)s)")
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="put the tables into this page")
    arguments = parser.parse_args()
    row = partial(drift_row, plans=arguments.plans, time_s=SEARCH_SHARE * DEFAULT_TIME_LIMIT_S)
    drifts = table(
        [
            *("drift", "seen between the long runs", "interval has the truth", "low end above it"),
            *("has it when widened", "median width then", "marked", "refused"),
        ],
        [row(drift) for drift in DRIFTS],
    )
    steals = table(
        ["stolen", *(f"capacity lost, target of {target} service times" for target in TARGETS)],
        [steal_row(share) for share in STEALS],
    )
    note = f"M/D/1 of {1e3 * SERVICE_S:g} ms; drift: {arguments.plans} plans each, target {DRIFT_TARGET} service times."
    text = f"{drifts}\n\n{steals}\n\n{note}"
    print(text)
    if arguments.write:
        MARKS.put(arguments.write, f"\n{text}\n")


if __name__ == "__main__":
    main()
