"""The results as one HTML file that needs nothing else: a chart for each workload and mode, and the tables."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from benchmarks.asked import FIGURES_ASKED
from benchmarks.plan import SYSTEMS
from benchmarks.results import BOUND, Results

ROW, BAR, NAMES, WIDTH, VALUES = 24, 14, 300, 940, 190  # pixels
STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #667085; --line: #d9dee7; --paper: #fff;
  --own: #0b6e4f; --bound: #98a2b3; --peer: #4a6fa5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #98a2b3; --line: #344054; --paper: #14181f;
  --own: #3ecf9b; --bound: #667085; --peer: #7ea6e0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 980px;
  margin: 2.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.soft, td.soft { color: var(--soft); } svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif;
  fill: var(--ink); } svg .value { fill: var(--soft); } .own { fill: var(--own); } .bound { fill: var(--bound); }
.peer { fill: var(--peer); } .range { stroke: var(--ink); stroke-width: 1.2; opacity: .55; }
.rule { stroke: var(--soft); stroke-dasharray: 4 4; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; width: 100%; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; white-space: normal; }
.prose th, .prose td { text-align: left; white-space: normal; vertical-align: top; }
.prose td:first-child { min-width: 14rem; } .prose td { overflow-wrap: anywhere; }
.key::before { content: ""; display: inline-block; width: .8em; height: .8em; margin: 0 .35em 0 1em; border-radius: 2px;
  background: currentColor; } .key.k-own { color: var(--own); } .key.k-bound { color: var(--bound); }
.key.k-peer { color: var(--peer); } code { font-size: 13px; overflow-wrap: anywhere; }
"""
WORDS = {
    "mixed": "lognormal lengths, as queries and passages together",
    "short": "up to 16 tokens",
    "long": "all at the maximum",
    "bimodal": "95 of 100 short, the others at the maximum",
    "1x1": "one caller, one text at a time",
    "32x1": "32 callers, one text at a time each",
    "4x32": "4 callers, 32 texts at a time each",
    "1x1024": "one caller, 1,024 texts at a time",
    "open, 70 %": "single texts at random times, at 70 % of the rate of 32 callers",
}


def write_page(results: Results, file: Path) -> None:
    """Write the page."""
    file.parent.mkdir(parents=True, exist_ok=True)
    body = "\n".join(_body(results))
    file.write_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>encserve, measured</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>\n{body}\n</html>\n',
        encoding="utf-8",
    )


def _body(results: Results) -> Iterator[str]:
    facts, machine = results.facts, results.facts["machine"]
    yield "<h1>encserve beside its peers</h1>"
    yield (
        f"<p>{escape(facts['model'])} on {machine['cores']} cores of {escape(machine['cpu'])}, {facts['date']}: "
        f"one run, the same weights and texts, all systems in turn, medians of {facts['rounds']} rounds. Thin lines "
        "go from the slowest round to the fastest. Where all texts are in hand from the start there are no requests, "
        "and so no latencies.</p>"
    )
    yield f'<p class="soft"><code>{escape(facts["command"])}</code></p>'
    yield (
        '<p><span class="key k-own">encserve</span><span class="key k-bound">in-process bound: same graph and runtime, '
        'no server</span><span class="key k-peer">peers</span></p>'
    )
    yield "<h2>Asked and measured</h2>"
    rows = [[row.figure, row.asked, row.measure(results)] for row in FIGURES_ASKED]
    yield _table(["", "asked", "measured"], rows, kind="prose")
    for workload, mode in results.cells():
        lengths = facts["workloads"][workload]
        yield f"<h2>{escape(workload)}, {escape(mode)}</h2>"
        yield (
            f'<p class="soft">{WORDS[mode]}; {WORDS[workload]}: {lengths["mean_tokens"]} tokens on average, '
            f"{lengths['max_tokens']} at most. Texts per second.</p>"
        )
        yield _chart(results, workload, mode)
        yield _figures(results, workload, mode)
    if results.refused or results.failed:
        yield "<h2>Not measured</h2>"
        rows = [[name, reason] for name, reason in {**results.refused, **results.failed}.items()]
        yield _table(["", "why"], rows, kind="prose")
    yield "<h2>Versions</h2>"
    rows = [
        [name, ", ".join(f"{tool} {number}" for tool, number in versions.items())]
        for name, versions in facts["versions"].items()
    ]
    yield _table(["worker", "packages"], rows, kind="prose")


def _kind(system: str) -> str:
    return {"encserve": "own", "bound": "bound"}.get(system.replace(",", " ").split()[0], "peer")


def _chart(results: Results, workload: str, mode: str) -> str:
    """Horizontal bars, the fastest first, with the range of the rounds."""
    systems = results.systems(workload, mode)
    rates = {name: [each.texts_per_s for each in results.find(name, workload, mode)] for name in systems}
    longest = max(max(values) for values in rates.values())
    scale = (WIDTH - NAMES - VALUES) / longest
    parts = []
    for row, name in enumerate(systems):
        top, middle = row * ROW + 4, row * ROW + 4 + BAR / 2
        median = results.median(name, workload, mode, "texts_per_s") or 0.0
        ratio = results.ratio(name, BOUND, workload, mode)
        label = f"{median:,.0f}" + (f"  ·  {ratio.median:.2f} of the bound" if ratio else "")
        low, high = NAMES + min(rates[name]) * scale, NAMES + max(rates[name]) * scale
        parts.append(
            f'<text x="{NAMES - 10}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="{_kind(name)}" x="{NAMES}" y="{top}" width="{median * scale:.1f}" height="{BAR}" rx="2">'
            f"<title>{escape(SYSTEMS[name].note)}</title></rect>"
            f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
            f'<text class="value" x="{high + 8:.1f}" y="{middle + 4}">{label}</text>'
        )
    height = len(systems) * ROW + 6
    title = f"Texts per second, {escape(workload)}, {escape(mode)}"
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">{"".join(parts)}</svg>'


def _figures(results: Results, workload: str, mode: str) -> str:
    columns = {
        "tokens/s": ("tokens_per_s", "{:,.0f}"),
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
        values = [results.median(name, workload, mode, figure) for figure, _ in columns.values()]
        formats = [each for _, each in columns.values()]
        cells = ["" if value is None else each.format(value) for value, each in zip(values, formats, strict=True)]
        rows.append([f"{name}, {SYSTEMS[name].precision}, {SYSTEMS[name].where}", *cells])
    return _table(["", *columns], rows)


def _table(titles: list[str], rows: list[list[str]], *, kind: str = "figures") -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table class="{kind}"><tr>{head}</tr>{body}</table></div>'
