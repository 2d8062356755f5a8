"""The results as one HTML file that needs nothing else: a chart for each workload and mode, and the tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers.asked import FIGURES_ASKED
from benchmarks.peers.catalogue import SYSTEMS
from benchmarks.peers.results import BOUND, Results
from encserve_pages.bars import Bar, render_bars
from encserve_pages.chart import legend
from encserve_pages.page import Figure, Figures, Part, Prose, Table, render_page

WIDTH = 1120  # pixels
OWN, INNER, PEER = "series-2", "series-4", "series-0"
KEYS = [
    (OWN, "encserve"),
    (INNER, "without a server: encserve's graphs and runtimes, and products of matrices alone"),
    (PEER, "peers"),
]
WORDS = {
    "mixed": "lognormal lengths, as queries and passages together",
    "short": "up to 16 tokens",
    "long": "all at the maximum",
    "queries": "lengths as of the queries of MS MARCO",
    "passages": "lengths as of the passages of MS MARCO",
    "bimodal": "95 of 100 short, the others at the maximum",
    "1x1": "one caller, one text at a time",
    "32x1": "32 callers, one text at a time each",
    "4x32": "4 callers, 32 texts at a time each",
    "1x1024": "one caller, 1,024 texts at a time",
    "open, 70 %": "single texts at random times, at 70 % of the rate of 32 callers",
}


def write_page(results: Results, file: Path) -> None:
    """Write the page."""
    facts, machine = results.facts, results.facts["machine"]
    about = (
        f"{facts['model']} on {machine['cores']} cores of {machine['cpu']}, {facts['date']}: one run, the same weights "
        "and texts, all systems in turn, medians of as many rounds as stand in the tables. Where all texts are in "
        "hand from the start there are no requests, and so no latencies."
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(render_page("encserve beside its peers", about, list(_parts(results))), encoding="utf-8")


def _parts(results: Results) -> Iterator[Part]:
    facts = results.facts
    yield Prose(facts["command"], tone="code")
    rows = [[row.figure, row.asked, row.measure(results)] for row in FIGURES_ASKED]
    yield Table("Asked and measured", ["", "asked", "measured"], rows, words=True)
    for workload, mode in results.cells():
        yield Figures([_rates(results, workload, mode)])
        yield _numbers(results, workload, mode)
    reasons = {**results.refused, **results.failed}
    yield Table("Not measured", ["", "why"], list(reasons.items()), words=True)
    versions = [
        [name, ", ".join(f"{tool} {number}" for tool, number in tools.items())]
        for name, tools in facts["versions"].items()
    ]
    yield Table("Versions", ["worker", "packages"], versions, words=True)


def _rates(results: Results, workload: str, mode: str) -> Figure:
    """Tokens per second of each system, the fastest first, with the range of the rounds: products of matrices answer
    the first texts of a load, so that texts per second would be of other lengths."""
    bars = []
    for name in results.systems(workload, mode):
        rates = [each.tokens_per_s for each in results.find(name, workload, mode)]
        median = results.median(name, workload, mode, "tokens_per_s") or 0.0
        ratio, share = results.ratio(name, BOUND, workload, mode), results.share(name, workload, mode)
        bars.append(
            Bar(
                name=name,
                value=median,
                figure=f"{median:,.0f}"
                + (f"  ·  {ratio.median:.2f} of the bound" if ratio else "")
                + (f"  ·  {share.median:.0%} of the roofline" if share else ""),
                kind=_kind(name),
                range=(min(rates), max(rates)),
                note=SYSTEMS[name].note,
            )
        )
    lengths = results.facts["workloads"][workload]
    words = f"{WORDS[mode]}; {WORDS[workload]}"
    caption = (
        f"{words[0].upper()}{words[1:]}: {lengths['mean_tokens']} tokens on average, {lengths['max_tokens']} at most. "
        "Thin lines go from the slowest round to the fastest."
    )
    drawing = legend(KEYS) + render_bars(f"tokens per second, {workload}, {mode}", bars, WIDTH)
    return Figure(f"{workload}, {mode}: tokens per second", drawing, caption)


def _kind(system: str) -> str:
    return {"encserve": OWN, "bound": INNER, "roofline": INNER}.get(system.replace(",", " ").split()[0], PEER)


def _numbers(results: Results, workload: str, mode: str) -> Table:
    columns = {
        "tokens/s": ("tokens_per_s", "{:,.0f}"),
        "texts/s": ("texts_per_s", "{:,.1f}"),
        "p50 ms": ("p50_ms", "{:,.1f}"),
        "p95 ms": ("p95_ms", "{:,.1f}"),
        "p99 ms": ("p99_ms", "{:,.1f}"),
        "CPU s / 1,000 texts": ("cpu_s_per_1000_texts", "{:,.2f}"),
        "of it the client": ("client_cpu_s_per_1000_texts", "{:,.2f}"),
        "peak MiB": ("peak_mib", "{:,.0f}"),
        "padding": ("padding", "{:.1%}"),
    }
    rows = []
    for name in results.systems(workload, mode):
        rounds = len(results.find(name, workload, mode))
        values = [results.median(name, workload, mode, figure) for figure, _ in columns.values()]
        formats = [each for _, each in columns.values()]
        cells = ["" if value is None else each.format(value) for value, each in zip(values, formats, strict=True)]
        share = results.share(name, workload, mode)
        near = results.quality.get(name)
        cells.append(f"{near.cosine:.5f} / {near.neighbours:.3f}" if near else "")
        cells.append("" if share is None else f"{share.median:.0%} ({share.low:.0%} to {share.high:.0%})")
        rows.append([f"{name}, {SYSTEMS[name].precision}, {SYSTEMS[name].where}", *cells, f"{rounds}"])
    return Table("", ["", *columns, "cosine / neighbours", "of the roofline", "rounds"], rows)
