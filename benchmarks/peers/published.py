"""The tables of the documents, from the results of a run and never by hand.

    python -m benchmarks.peers.published [--json benchmarks/results/bench.json]

Writes the best figure of every peer into README.md and docs/performance.md, and what is asked and measured into the
latter, each between the lines that name its module. Where that run is by another definition of the bound, they say that
none is kept.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import asked
from benchmarks.peers.catalogue import SYSTEMS
from benchmarks.peers.plan import IN_HAND, LOADED
from benchmarks.peers.results import ROOFLINES, OtherDefinition, Results
from benchmarks.written import Marks, table

MARKS = Marks("<!-- benchmarks.peers.published: begin -->", "<!-- benchmarks.peers.published: end -->")
README, PERFORMANCE = Path("README.md"), Path("docs/performance.md")
NO_RUN = "No run by today's definition of the bound is kept."
MODE_WORDS = {"32x1": "32 callers of 1 text", "4x32": "4 callers of 32 texts", IN_HAND: "all texts in hand"}
IN_PROCESS_WORDS = {"1x1": "1 text a call", "4x32": "32 texts a call", IN_HAND: "all texts in hand"}


@dataclass(frozen=True)
class Best:
    """The fastest that somebody's systems were in one precision."""

    system: str
    mode: str
    tokens_per_s: float

    @classmethod
    def of(cls, results: Results, systems: Sequence[str], modes: Sequence[str]) -> Best | None:
        """Of some systems in some modes, with the first workload; None where none was measured."""
        workload = next(iter(results.facts["workloads"]))
        found = [
            cls(system, mode, rate)
            for system in systems
            for mode in modes
            if (rate := results.median(system, workload, mode, "tokens_per_s")) is not None
        ]
        return max(found, key=lambda each: each.tokens_per_s, default=None)


def peers_table(results: Results) -> str:
    """In Markdown: encserve in each precision, then the best of each peer in each, the fastest first."""
    facts, machine = results.facts, results.facts["machine"]
    workload = next(iter(facts["workloads"]))
    rooflines = [
        f"{rate:,.0f} in {precision}"
        for precision, name in ROOFLINES.items()
        if (rate := results.median(name, workload, IN_HAND, "tokens_per_s")) is not None
    ]
    about = (
        f"{facts['date']}, {machine['cores']} cores of {machine['cpu']}: {facts['model']}, texts of "
        f"{facts['workloads'][workload]['mean_tokens']:.0f} tokens on average, medians of {facts['rounds']} rounds. "
        f"The machine's products of matrices alone would give these tokens a second: {', '.join(rooflines)}."
    )
    heads = ["", "precision", "where", "cosine / neighbours", "fastest with", "of its roofline", "encserve / it"]
    lines = [*_own(results), *sorted(_peers(results), key=lambda line: -line[0])]
    missing = [
        f"- {name}: {reason}" for name, reason in results.refused.items() if name in SYSTEMS and SYSTEMS[name].peer
    ]
    parts = [about, table(heads, [row for _, row in lines])]
    return "\n\n".join([*parts, *(["Not measured:\n\n" + "\n".join(missing)] if missing else [])])


def _own(results: Results) -> Iterator[tuple[float, list[str]]]:
    for precision in ROOFLINES:
        for mode in LOADED:
            best = Best.of(results, own_systems(precision), [mode])
            if best is not None:
                yield best.tokens_per_s, _row(results, best, "")


def _peers(results: Results) -> Iterator[tuple[float, list[str]]]:
    workload = next(iter(results.facts["workloads"]))
    groups = dict.fromkeys((system.peer, system.precision) for system in SYSTEMS.values() if system.peer)
    for peer, precision in groups:
        systems = [name for name, each in SYSTEMS.items() if (each.peer, each.precision) == (peer, precision)]
        best = Best.of(results, systems, [*LOADED, IN_HAND])
        if best is None:
            continue
        own = Best.of(results, own_systems(precision), [best.mode if best.mode in LOADED else "4x32"])
        ratio = results.ratio(own.system, best.system, workload, own.mode, to_mode=best.mode) if own else None
        yield best.tokens_per_s, _row(results, best, str(ratio or ""))


def _row(results: Results, best: Best, ratio: str) -> list[str]:
    system = SYSTEMS[best.system]
    workload = next(iter(results.facts["workloads"]))
    near = results.quality.get(best.system)
    words = MODE_WORDS if system.where == "server" else IN_PROCESS_WORDS
    share = results.share(best.system, workload, best.mode)
    return [
        best.system,
        system.precision,
        system.where,
        f"{near.cosine:.4f} / {near.neighbours:.3f}" if near else "",
        words[best.mode],
        str(share or ""),
        ratio,
    ]


def own_systems(precision: str) -> list[str]:
    """encserve's in a precision, by the client that users have."""
    return [
        name
        for name, each in SYSTEMS.items()
        if name.startswith("encserve") and each.precision == precision and each.variant == "async"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.peers.published", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/bench.json"))
    arguments = parser.parse_args()
    try:
        results = Results.from_json(json.loads(arguments.json.read_text()))
    except OtherDefinition as error:
        _write(NO_RUN, NO_RUN)
        raise SystemExit(f"{arguments.json}: {error}; measure anew with make bench") from error
    _write(peers_table(results), asked.table(results))


def _write(peers: str, figures_asked: str) -> None:
    for document in (README, PERFORMANCE):
        MARKS.put(document, peers)
    asked.MARKS.put(PERFORMANCE, figures_asked)


if __name__ == "__main__":
    main()
