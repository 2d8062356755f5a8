"""How often the planner's interval holds the true capacity, on servers whose capacity is known. In virtual time.

    python -m benchmarks.capacity.coverage [--plans 200] [--servers M/D/1,M/M/1] [--write docs/capacity.md]

Each cell of the table is so many whole searches with the shipped defaults, each with arrivals, service times and
disturbances of its own. The truth is the highest rate whose 99th percentile in the long run is within the target: for
M/M/1 by its exponential latency, else by simulating a million requests or more at each of a dozen rates.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from encserve_loadtest.config import DEFAULT_TIME_LIMIT_S, SEARCH_SHARE
from encserve_loadtest.errors import TargetImpossible
from encserve_loadtest.estimate.capacity import Capacity, Confidence
from encserve_loadtest.estimate.search import find_capacity
from encserve_loadtest.virtual.pace import standing_still, two_speeds
from encserve_loadtest.virtual.servers import (
    Batcher,
    Draw,
    Line,
    VirtualServer,
    by_length,
    constant_service,
    exponential_service,
)
from encserve_loadtest.virtual.virtual_bench import VirtualBench

SERVICE_S = 0.01
TARGETS = (3, 10, 30)
"""In mean service times of a request that is alone."""
ALLOWED = 0.01
BISECTIONS = 13
BEGIN, END = "<!-- coverage: benchmarks/capacity/coverage.py writes this -->", "<!-- end of coverage -->"


@dataclass(frozen=True, kw_only=True)
class Known:
    """A server whose capacity can be computed."""

    make: Callable[[np.random.Generator, float], VirtualServer]
    """(draws its disturbances, how long it is watched) -> the server."""
    saturation_per_s: float
    requests: int = 4_000_000
    """How many are simulated for the truth, at each rate."""
    lasting: str = ""
    """The server that it is in the long run; empty for itself."""


SERVERS = {
    "M/D/1": Known(make=lambda rng, horizon_s: Line(draw=constant_service(SERVICE_S)), saturation_per_s=100),
    "M/M/1": Known(make=lambda rng, horizon_s: Line(draw=exponential_service(SERVICE_S)), saturation_per_s=100),
    "M/D/4": Known(make=lambda rng, horizon_s: Line(draw=constant_service(SERVICE_S), places=4), saturation_per_s=400),
    "batches of up to 32": Known(
        make=lambda rng, horizon_s: Batcher(fixed_s=0.008, draw=by_length(0.002, spread=0.6), most=32),
        saturation_per_s=32 / (0.008 + 32 * 0.002),
        requests=1_000_000,
    ),
    "two speeds": Known(
        make=lambda rng, horizon_s: Line(
            draw=constant_service(SERVICE_S), pace=two_speeds(0.7, mean_s=2.0, horizon_s=horizon_s, rng=rng)
        ),
        saturation_per_s=85,
    ),
    "stands still for 2 s once": Known(
        make=lambda rng, horizon_s: Line(
            draw=constant_service(SERVICE_S), pace=standing_still(rng.uniform(0.0, horizon_s), 2.0)
        ),
        saturation_per_s=100,
        lasting="M/D/1",
    ),
    "one text in ten is five times as long": Known(
        make=lambda rng, horizon_s: Line(draw=two_lengths(SERVICE_S, long=5.0, share=0.1)), saturation_per_s=100
    ),
    "M/D/16": Known(
        make=lambda rng, horizon_s: Line(draw=constant_service(SERVICE_S), places=16), saturation_per_s=1600
    ),
    "batches of up to 8": Known(
        make=lambda rng, horizon_s: Batcher(fixed_s=0.006, draw=by_length(0.004, spread=1.0), most=8),
        saturation_per_s=8 / (0.006 + 8 * 0.004),
        requests=1_000_000,
    ),
}
"""The last three played no part when the constants of the estimate were chosen."""


def two_lengths(mean_s: float, *, long: float, share: float) -> Draw:
    """Work of a mean, where a share of the requests takes `long` times as long as the others."""
    short_s = mean_s / (1 - share + share * long)
    return lambda rng, count: np.where(rng.random(count) < share, long * short_s, short_s)


def truth_per_s(name: str, target_s: float) -> float:
    """The highest rate whose 99th percentile is within the target in the long run; 0 where there is none."""
    if name == "M/M/1":
        return max(0.0, 1 / SERVICE_S - math.log(1 / ALLOWED) / target_s)
    known = SERVERS[SERVERS[name].lasting or name]
    gaps = np.random.default_rng(1).exponential(1.0, known.requests)

    def late_share(rate_per_s: float) -> float:
        come_s = np.cumsum(gaps) / rate_per_s
        server = known.make(np.random.default_rng(2), float(come_s[-1]))
        return float(np.mean(server.answered_s(come_s, np.random.default_rng(3)) - come_s > target_s))

    low, high = 0.0, known.saturation_per_s
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if late_share(middle) <= ALLOWED else (low, middle)
    return low


def plan_once(name: str, target_s: float, *, seed: int, time_s: float) -> Capacity | None:
    """One whole search; None where it says that no rate holds the target."""
    server = SERVERS[name].make(np.random.default_rng((seed, 1)), time_s)
    bench = VirtualBench(server=server, target_p99_s=target_s, seed=seed)
    try:
        return asyncio.run(find_capacity(bench, target_s=target_s, time_s=time_s))
    except TargetImpossible:
        return None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What many plans of one server with one target said."""

    name: str
    target: float
    """In service times."""
    truth_per_s: float
    plans: list[Capacity | None]

    @property
    def found(self) -> list[Capacity]:
        return [each for each in self.plans if each is not None]

    def share(self, holds: Callable[[Capacity], bool]) -> float:
        return sum(map(holds, self.found)) / len(self.plans)

    def row(self) -> list[str]:
        """The cells of the table."""
        truth, saturation = self.truth_per_s, SERVERS[self.name].saturation_per_s
        head = [self.name, f"{self.target:g}"]
        if truth == 0:
            impossible = sum(each is None for each in self.plans) / len(self.plans)
            return [*head, "none", f"“impossible” in {impossible:.0%}", "", "", "", "", ""]
        middle = np.median([each.rate_per_s for each in self.found]) / truth - 1
        width = np.median([(each.high_per_s - each.low_per_s) / truth for each in self.found])
        return [
            *head,
            f"{truth:.1f}",
            f"{self.share(lambda each: each.low_per_s <= truth <= each.high_per_s):.1%}",
            f"{self.share(lambda each: each.low_per_s > truth):.1%}",
            f"{self.share(lambda each: each.rate_per_s > saturation):.1%}",
            f"{middle:+.1%}",
            f"{width:.0%}",
            f"{self.share(lambda each: each.confidence is Confidence.INTERVAL):.0%}",
        ]


HEADS = [
    *("server", "target, service times", "truth, 1/s", "interval has the truth", "low end above it"),
    *("capacity above saturation", "median error", "median width", "says “95 %”"),
]


def table(rows: list[list[str]]) -> str:
    """The rows as Markdown."""
    lines = [HEADS, ["---"] * len(HEADS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(path: Path, rows: list[list[str]], note: str) -> None:
    """Put the rows between the marks of the table; of servers that were not measured now, those that are there stay."""
    page = path.read_text(encoding="utf-8")
    before, (inside, _, after) = page.partition(BEGIN)[0], page.partition(BEGIN)[2].partition(END)
    cells = [[each.strip() for each in line.strip()[1:-1].split("|")] for line in inside.splitlines() if "|" in line]
    measured = {row[0] for row in rows}
    kept = [row for row in cells if row[0] in SERVERS and row[0] not in measured]
    order = list(SERVERS)
    text = table(sorted([*kept, *rows], key=lambda row: order.index(row[0])))
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{note}\n\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Plan, count, print, write."""
    parser = argparse.ArgumentParser(prog="benchmarks.capacity.coverage", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plans", type=int, default=200, help="of each cell (default: %(default)s)")
    parser.add_argument("--servers", default=",".join(SERVERS), help="default: all")
    parser.add_argument(
        "--targets", default=",".join(map(str, TARGETS)), help="in service times (default: %(default)s)"
    )
    parser.add_argument("--time-limit", type=float, default=DEFAULT_TIME_LIMIT_S, metavar="SECONDS")
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="put the table into this page")
    arguments = parser.parse_args()
    time_s = SEARCH_SHARE * arguments.time_limit
    rows = []
    print(f"| {' | '.join(HEADS)} |")
    for name in arguments.servers.split(","):
        for target in map(float, arguments.targets.split(",")):
            began_s = time.process_time()
            plans = [plan_once(name, target * SERVICE_S, seed=seed, time_s=time_s) for seed in range(arguments.plans)]
            spent_s = time.process_time() - began_s
            truth = truth_per_s(name, target * SERVICE_S)
            rows.append(Cell(name=name, target=target, truth_per_s=truth, plans=plans).row())
            print(f"| {' | '.join(rows[-1])} | {spent_s / arguments.plans:.2f} s of processor a plan", flush=True)
    if arguments.write:
        note = f"{arguments.plans} plans a cell, each of {time_s:.0f} s in virtual time; "
        note += f"the service time is {1e3 * SERVICE_S:g} ms."
        write(arguments.write, rows, note)


if __name__ == "__main__":
    main()
