"""The figures that encserve is held to, and what a run measured of them.

    python -m benchmarks.peers.asked [--json benchmarks/results/bench.json] [--write docs/performance.md]

Prints the table, or writes it into a document between the lines that name this module.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.plan import IN_HAND, LOADED
from benchmarks.peers.results import BOUND, OtherDefinition, Ratio, Results
from benchmarks.written import Marks

HOUR = Path("benchmarks/results/memory.json")
"""What `benchmarks.cost.memory` wrote."""
MARKS = Marks("<!-- benchmarks.peers.asked: begin -->", "<!-- benchmarks.peers.asked: end -->")


@dataclass(frozen=True)
class Asked:
    """One figure."""

    figure: str
    asked: str
    measure: Callable[[Results], str]
    """What a run says of it, in words; "not measured" where it does not."""


def _said(ratio: Ratio) -> str:
    return f"{ratio}, {ratio.rounds} round{'s' if ratio.rounds != 1 else ''}"


def _ratio(system: str, to: str, workload: str, *modes: str) -> Callable[[Results], str]:
    def measure(results: Results) -> str:
        found = [results.ratio(system, to, workload, mode) for mode in modes]
        return "; ".join(_said(each) for each in found if each) or "not measured"

    return measure


def _against_sentence_transformers(results: Results) -> str:
    parts = []
    for mode in LOADED:
        each = "1x1" if mode == "32x1" else mode  # calls of one text cannot overlap in process
        for to_mode, words in ((each, "request by request"), (IN_HAND, "all at once")):
            ratio = results.ratio("encserve", "sentence-transformers", "mixed", mode, to_mode=to_mode)
            if ratio:
                parts.append(f"{mode}: {_said(ratio)}, to it {words}")
    return "; ".join(parts) or "not measured"


def _overhead(results: Results) -> str:
    own = results.median("encserve", "mixed", "1x1", "p50_ms")
    bound = results.median(BOUND, "mixed", "1x1", "p50_ms")
    return "not measured" if own is None or bound is None else f"{own - bound:.2f} ms ({own:.2f} - {bound:.2f})"


def _share(system: str, workload: str, mode: str) -> Callable[[Results], str]:
    def measure(results: Results) -> str:
        share = results.share(system, workload, mode)
        return _said(share) if share else "not measured"

    return measure


def _padding(results: Results) -> str:
    found = {each.padding for each in results.measurements if each.system.startswith("encserve")}
    known = sorted(value for value in found if value is not None)
    return ", ".join(f"{value:.4f}" for value in known) or "not measured"


def _open_loop(results: Results) -> str:
    single = results.find("encserve", "mixed", "1x1")
    loaded = results.find("encserve", "mixed", "open, 70 %")
    ratios = [b.p99_ms / a.p50_ms for a, b in zip(single, loaded, strict=False) if a.p50_ms and b.p99_ms]
    if not ratios:
        return "not measured"
    return f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}), {len(ratios)} rounds"


def _peak(results: Results) -> str:
    peaks = [each.peak_mib for each in results.measurements if each.system == "encserve"]
    parts = [f"{max(peaks):,.0f} MiB in this run"] if peaks else []
    if HOUR.is_file():
        hour = json.loads(HOUR.read_text(encoding="utf-8"))
        tenths = ", ".join(f"{mib:,}" for mib in hour["highest MiB in each tenth of the time"])
        parts.append(f"in {hour['minutes']:.0f} minutes of `python -m benchmarks.cost.memory`, by tenths: {tenths} MiB")
    return "; ".join(parts) or "not measured"


def _elsewhere(command: str) -> Callable[[Results], str]:
    return lambda results: f"`{command}`"


FIGURES_ASKED = (
    Asked("end to end / in-process bound, mixed, 4 x 32", "0.95", _ratio("encserve", BOUND, "mixed", "4x32")),
    Asked(
        "the same, 32 callers of one text, SDK client on the same cores",
        "0.85",
        _ratio("encserve", BOUND, "mixed", "32x1"),
    ),
    Asked("the same with perf_analyzer", "0.92", _ratio("encserve, perf_analyzer", BOUND, "mixed", "32x1")),
    Asked("tokens/s / roofline of FP32 products, mixed, 4 x 32", "-", _share("encserve", "mixed", "4x32")),
    Asked("the same in OpenVINO", "-", _share("encserve, OpenVINO", "mixed", "4x32")),
    Asked("tokens/s / roofline of int8 products, mixed, 4 x 32", "-", _share("encserve int8", "mixed", "4x32")),
    Asked("FP32 / sentence-transformers torch in process, mixed", "3", _against_sentence_transformers),
    Asked(
        "INT8 / infinity optimum INT8, mixed, 32 x 1",
        "4",
        _ratio("encserve int8", "infinity optimum int8", "mixed", "32x1"),
    ),
    Asked("the same, 4 x 32", "5", _ratio("encserve int8", "infinity optimum int8", "mixed", "4x32")),
    Asked("single stream p50 minus in-process p50", "0.7 ms", _overhead),
    Asked("padding ratio in linear layers, all workloads", "0", _padding),
    Asked("long / in-process bound, 4 x 32", "0.95", _ratio("encserve", BOUND, "long", "4x32")),
    Asked("p99 at 70 % of the saturating rate / single-stream p50, open loop, mixed", "5 or less", _open_loop),
    Asked("server peak memory, MiniLM FP32, after one hour", "450 MiB and flat", _peak),
    Asked(
        "SDK CPU time per text at 32 texts a request",
        "20 us or less",
        _elsewhere("python -m benchmarks.cost.client_cost"),
    ),
)


def table(results: Results) -> str:
    """In Markdown."""
    lines = ["| figure | asked | measured, median (worst to best round) |", "|---|---|---|"]
    lines += [f"| {row.figure} | {row.asked} | {row.measure(results)} |" for row in FIGURES_ASKED]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.peers.asked", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/bench.json"))
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    arguments = parser.parse_args()
    try:
        text = table(Results.from_json(json.loads(arguments.json.read_text())))
    except OtherDefinition as error:
        raise SystemExit(f"{arguments.json}: {error}; measure anew with make bench") from error
    if arguments.write is None:
        print(text)
        return
    MARKS.put(arguments.write, text)


if __name__ == "__main__":
    main()
