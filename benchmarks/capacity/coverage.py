"""How often the planner's interval holds the true capacity, on servers whose capacity is known. In virtual time.

    python -m benchmarks.capacity.coverage [--plans 200] [--servers M/D/1,M/M/1] [--write docs/capacity.md]

Each cell of the table is so many whole searches with the shipped defaults, each with arrivals, service times and
disturbances of its own. The truth is the highest rate whose 99th percentile in the long run is within the target: for
M/M/1 by its exponential latency, else by simulating a million requests or more at each of a dozen rates.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.capacity.known_servers import SERVERS, SERVICE_S, truth_per_s
from benchmarks.written import Marks, table
from encserve_loadtest.config import DEFAULT_TIME_LIMIT_S, SEARCH_SHARE
from encserve_loadtest.errors import TargetImpossible
from encserve_loadtest.estimate.capacity import Capacity, Confidence
from encserve_loadtest.estimate.search import find_capacity
from encserve_loadtest.virtual.virtual_bench import VirtualBench

TARGETS = (3, 10, 30)
"""In mean service times of a request that is alone."""
MARKS = Marks("<!-- coverage: benchmarks/capacity/coverage.py writes this -->", "<!-- end of coverage -->")


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
            perhaps = self.share(lambda each: any("no rate holds" in reason for reason in each.reasons))
            said = f"“impossible” in {impossible:.0%}" + (f", “it may be” in {perhaps:.0%}" if perhaps else "")
            return [*head, "none", said, "", "", "", "", ""]
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


def write(path: Path, rows: list[list[str]], note: str) -> None:
    """Put the rows into the page; of servers that were not measured now, those that are there stay."""
    lines = [line for line in MARKS.inside(path).splitlines() if "|" in line]
    cells = [[each.strip() for each in line.strip()[1:-1].split("|")] for line in lines]
    measured = {row[0] for row in rows}
    kept = [row for row in cells if row[0] in SERVERS and row[0] not in measured]
    order = list(SERVERS)
    measured_table = table(HEADS, sorted([*kept, *rows], key=lambda row: order.index(row[0])))
    MARKS.put(path, f"\n{measured_table}\n\n{note}\n")


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
