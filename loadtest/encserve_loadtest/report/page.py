"""The report: one HTML file that needs no network, and the same findings as JSON."""

from collections.abc import Sequence

from encserve import __version__
from encserve_loadtest.findings import Findings
from encserve_loadtest.measurement.progress import verdict
from encserve_loadtest.measurement.window import PERCENTILES, SETTLE_SHARE, Window
from encserve_loadtest.quantities import milliseconds, percent, rounded
from encserve_loadtest.report.charts import figures
from encserve_loadtest.report.summary import SETTING_WORDS, cautions, summarize
from encserve_loadtest.traffic.run import Loop
from encserve_loadtest.tune.trials import Tuning
from encserve_pages.page import Cell, Figures, Part, Prose, Table, Verdict, render_page

CARDS = 4
"""So many lines of the verdict stand large on top."""

VERDICT_TONES = {"holds": "good", "misses": "bad", "invalid": "bad", "queue grows": "bad"}
"""Verdict on a window -> how good that is."""


def render_html(findings: Findings) -> str:
    """The page."""
    config = findings.config
    lines = summarize(findings)
    parts: list[Part] = [
        *([Prose(f"Incomplete: {findings.problem}", tone="problem")] if findings.problem else []),
        *(Prose(f"{said[0].upper()}{said[1:]}.", tone="problem") for said in cautions(findings)),
        Verdict(lines[:CARDS], lines[CARDS:]),
        Figures(list(figures(findings))),
        _windows_table(findings.windows),
        *([_tuning_table(findings.tuning)] if findings.tuning else []),
        _steps_table(findings),
        Prose(_how(findings)),
    ]
    return render_page(f"Capacity of {config.model}", _about(findings), parts)


def _about(findings: Findings) -> str:
    about = (
        f"{findings.config.url}, {len(findings.windows)} windows in {findings.elapsed_s:.0f} s, encserve {__version__}"
    )
    if findings.workload is None:
        return about
    pipeline = findings.workload.pipeline
    return f"{pipeline.task}, version {pipeline.version}, {pipeline.precision} on {pipeline.engine}, {about}"


def _windows_table(windows: Sequence[Window]) -> Table:
    heads = ["load", "offered/s", "achieved/s", *(f"p{percentile}" for percentile in PERCENTILES)]
    heads += ["lateness p99", "worst", "tokens/request", "failed", "verdict"]
    rows: list[list[str | Cell]] = []
    for window in windows:
        closed = window.run.loop is Loop.CLOSED
        word = "closed loop" if closed else verdict(window).partition(":")[0]
        shaped = "shape" if window.rate_per_s is None else f"{rounded(window.rate_per_s)}/s"
        rows.append(
            [
                f"{window.users} users" if closed else shaped,
                "" if closed else rounded(window.offered_per_s),
                rounded(window.achieved_per_s),
                *(milliseconds(window.percentile_s(percentile)) for percentile in PERCENTILES),
                "" if closed else milliseconds(window.lateness_p99_s),
                "" if closed else milliseconds(window.lateness_worst_s),
                rounded(window.tokens_per_request),
                window.failure_summary,
                Cell(word, VERDICT_TONES.get(word, "")),
            ]
        )
    return Table("Every window, in the order of measurement", heads, rows)


def _tuning_table(tuning: Tuning) -> Table:
    rows: list[list[str | Cell]] = [["as it is", "", *(str(getattr(tuning.baseline, name)) for name in SETTING_WORDS)]]
    for trial in tuning.trials:
        low, high = (percent(each) for each in trial.comparison.interval)
        verdict = "kept" if trial.comparison.is_better else "no better than noise"
        gain = f"{percent(trial.comparison.gain)}, between {low} and {high}"
        rows.append([verdict, gain, *(str(getattr(trial.settings, name)) for name in SETTING_WORDS)])
    heads = ["verdict", "more at the percentile than the best before", *SETTING_WORDS.values()]
    return Table("Settings that were tried in turns with the best before, on servers of this host", heads, rows)


def _steps_table(findings: Findings) -> Table:
    rows = [
        [step.name, str(step.instances), str(step.max_batch_size), str(step.queue_delay_us)] for step in findings.steps
    ]
    return Table("How the server ran the steps", ["step", "instances", "max batch, requests", "queue delay, µs"], rows)


def _how(findings: Findings) -> str:
    config = findings.config
    return (
        f"How it was measured: an open loop with {config.arrivals} arrivals. Each request was sent at its scheduled "
        "time whether or not earlier ones were answered, and its latency counts from that time, so a stalled server "
        f"cannot hide its queue. The first {percent(SETTLE_SHARE)} of a window are sent and not counted in its line. A "
        "window is invalid when the generator itself was late, and misses when its latency keeps growing. The capacity "
        "is the highest rate whose 99th percentile is within the target in the long run: the share of late answers in "
        "all runs of the search, each without its warm-up, is fitted as a function of the rate, counted by the "
        "episodes in which they come."
    )
