"""All measurements of a run, their medians, and the ratios that count."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.peers.catalogue import SYSTEMS
from benchmarks.peers.measurement import Measurement
from benchmarks.peers.plan import IN_HAND, LOADED
from benchmarks.peers.quality import Quality

BOUND = "the in-process bound"
"""Stands for the best system of those that have all texts in hand, in any engine and packing, round by round."""
ROOFLINES = {precision: f"the roofline in {precision}" for precision in ("fp32", "int8", "bf16")}
"""Precision -> what stands for the best of its products of matrices, round by round."""
STANDS_FOR = {
    BOUND: [name for name, system in SYSTEMS.items() if system.bounds],
    **{
        roofline: [name for name, system in SYSTEMS.items() if system.roofline and system.precision == precision]
        for precision, roofline in ROOFLINES.items()
    },
}
DEFINITION = "stands_for"
"""The fact in a file of results that is `STANDS_FOR` when they were measured."""


class OtherDefinition(ValueError):
    """Results are of a run in which another set of systems stood for the bound or the rooflines."""


FIGURES = (
    "texts_per_s",
    "tokens_per_s",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "cpu_s_per_1000_texts",
    "client_cpu_s_per_1000_texts",
    "peak_mib",
    "padding",
)


@dataclass(frozen=True)
class Ratio:
    """Of two systems, round by round."""

    median: float
    low: float
    high: float
    rounds: int
    """In which both were measured."""

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass
class Results:
    """What a run found."""

    facts: dict[str, Any]
    measurements: list[Measurement] = field(default_factory=list)
    quality: dict[str, Quality] = field(default_factory=dict)
    """System -> how near its vectors are to those of FP32."""
    refused: dict[str, str] = field(default_factory=dict)
    """System -> why it could not be measured, or no longer."""
    failed: dict[str, str] = field(default_factory=dict)
    """System, workload and mode -> what went wrong in one measurement."""

    def add(self, measurement: Measurement) -> None:
        """Keep one."""
        self.measurements.append(measurement)

    def find(self, system: str, workload: str, mode: str) -> list[Measurement]:
        """Those of one cell, in the order of the rounds. Of `BOUND` and `ROOFLINES` the fastest of each round.

        The bound of servers under load is of those that have all texts in hand. Products of matrices are measured once
        a round, with the first workload, whatever the texts are: a token has the same products in every text.
        """
        names = STANDS_FOR.get(system, (system,))
        if system in ROOFLINES.values():
            workload, mode = next(iter(self.facts["workloads"])), IN_HAND
        elif system == BOUND and mode in LOADED:
            mode = IN_HAND
        best: dict[int, Measurement] = {}
        for each in self.measurements:
            fits = each.system in names and (each.workload, each.mode) == (workload, mode)
            if fits and (each.round not in best or each.tokens_per_s > best[each.round].tokens_per_s):
                best[each.round] = each
        return [best[number] for number in sorted(best)]

    def cells(self) -> list[tuple[str, str]]:
        """(workload, mode) in the order of the run."""
        return list(dict.fromkeys((each.workload, each.mode) for each in self.measurements))

    def systems(self, workload: str, mode: str) -> list[str]:
        """The systems of a cell, the fastest first."""
        found = {each.system for each in self.measurements if (each.workload, each.mode) == (workload, mode)}
        return sorted(found, key=lambda name: -(self.median(name, workload, mode, "tokens_per_s") or 0))

    def median(self, system: str, workload: str, mode: str, figure: str) -> float | None:
        """Of the rounds."""
        values = [getattr(each, figure) for each in self.find(system, workload, mode)]
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    def ratio(
        self, system: str, to: str, workload: str, mode: str, figure: str = "tokens_per_s", to_mode: str = ""
    ) -> Ratio | None:
        """Of two systems' tokens per second, or of another figure, round by round; None where one of them was not
        measured. `to_mode` is the other's mode where that is another, whose texts are of other lengths: so tokens."""
        own = {each.round: getattr(each, figure) for each in self.find(system, workload, mode)}
        other = {each.round: getattr(each, figure) for each in self.find(to, workload, to_mode or mode)}
        ratios = [own[number] / other[number] for number in own if number in other]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios), len(ratios)) if ratios else None

    def share(self, system: str, workload: str, mode: str) -> Ratio | None:
        """A system's tokens per second as a share of what the machine's products in the system's precision would give,
        round by round; None where either was not measured."""
        return self.ratio(system, ROOFLINES[SYSTEMS[system].precision], workload, mode)

    def to_json(self) -> dict[str, Any]:
        """For a file; `from_json` reads it."""
        summary = [
            {
                "system": system,
                "workload": workload,
                "mode": mode,
                **{figure: self.median(system, workload, mode, figure) for figure in FIGURES},
                "ratio_to_bound": _rounded(self.ratio(system, BOUND, workload, mode)),
                "share_of_roofline": _rounded(self.share(system, workload, mode)),
                "ratio_to_sentence_transformers": _rounded(self.ratio(system, "sentence-transformers", workload, mode)),
            }
            for workload, mode in self.cells()
            for system in self.systems(workload, mode)
        ]
        return {
            "facts": {**self.facts, DEFINITION: STANDS_FOR},
            "quality": {name: asdict(each) for name, each in self.quality.items()},
            "refused": self.refused,
            "failed": self.failed,
            "summary": summary,
            "measurements": [asdict(each) for each in self.measurements],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Results:
        """The inverse of `to_json`; the summary is computed anew.

        Raises:
            OtherDefinition: the bound or a roofline was of other systems then, so that ratios to it would be of another
                thing under the same name.
        """
        facts = dict(data["facts"])
        if facts.pop(DEFINITION, None) != STANDS_FOR:
            raise OtherDefinition(f"these results, of {facts['date']}, are by another definition of the bound")
        return cls(
            facts=facts,
            measurements=[Measurement(**each) for each in data["measurements"]],
            quality={name: Quality(**each) for name, each in data["quality"].items()},
            refused=dict(data["refused"]),
            failed=dict(data["failed"]),
        )


def _rounded(ratio: Ratio | None) -> dict[str, float] | None:
    return None if ratio is None else {name: round(value, 3) for name, value in asdict(ratio).items()}


COLUMNS = {"texts/s": 9, "tokens/s": 10, "p50 ms": 9, "p99 ms": 9, "CPU s/1000": 12}


def print_table(results: Results) -> None:
    """The medians, for a terminal."""
    for workload, mode in results.cells():
        print(f"\n{workload}, {mode}")
        heads = "".join(f"{head:>{width}}" for head, width in COLUMNS.items())
        print(f"  {'':<44}{heads}   cosine, neighbours   {'ratio to the bound':<22}   share of the roofline")
        for system in results.systems(workload, mode):
            values = [
                results.median(system, workload, mode, figure)
                for figure in ("texts_per_s", "tokens_per_s", "p50_ms", "p99_ms", "cpu_s_per_1000_texts")
            ]
            texts, tokens, p50, p99, cpu = ("-" if value is None else f"{value:,.1f}" for value in values)
            ratio = str(results.ratio(system, BOUND, workload, mode) or "-")
            share = results.share(system, workload, mode) or "-"
            near = results.quality.get(system)
            quality = f"{near.cosine:.5f}, {near.neighbours:.3f}" if near else "-"
            figures = f"{texts:>9}{tokens:>10}{p50:>9}{p99:>9}{cpu:>12}"
            print(f"  {system:<44}{figures}   {quality:<18}   {ratio:<22}   {share}")
    for name, reason in {**results.refused, **results.failed}.items():
        print(f"\n{name} was not measured: {reason}")
