"""What a watch saw, as one HTML file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from encserve_pages.axis import Axis
from encserve_pages.chart import Chart
from encserve_pages.page import Cell, Figure, Figures, Line, Part, Prose, Table, Verdict, render_page

from .evidence import NOTHING, Count, band
from .judgement import Finding, State
from .signals import ALPHA, SIGNALS
from .traffic import needed_to_clear
from .watch import ALL, CANARY, Moment, Watch

_TONES = {State.WORSE: "bad", State.NO_WORSE: "good"}
_METHOD = (
    "Each signal has a margin, and a version is called worse by evidence that the difference is larger: the likelihood "
    "of both counts, mixed over all shares, by the largest that it has with a difference within the margin. It may be "
    f"looked at as often as one likes: a version that is no worse is rolled back with a chance of {ALPHA:.0%} at most, "
    "over all signals and looks together, as long as requests do not depend on each other. The bands hold in the same "
    "way. Shares of texts count as if each request had one text. Nothing but counts was read."
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a watch ended."""

    verdict: str
    """What was done with the version."""
    because: str
    """The evidence in a sentence."""
    took_s: float | None = None
    """Seconds from the verdict to the moment in which the version before answered everybody; None where it was kept,
    or no server answered at the end."""


def watch_page(watch: Watch, outcome: Outcome) -> str:
    """Return the page about a watch that has looked once at least."""
    last, findings = watch.moments[-1], watch.settled()
    title = f"{watch.candidate.pipeline}: version {watch.candidate.version} in the place of {watch.before.version}"
    about = f"Watched for {last.at_s / 60:.1f} minutes. {_phases(watch)}"
    if outcome.took_s is not None:
        about += f" The version before answered everybody {outcome.took_s:.1f} s after the verdict."
    parts: list[Part] = [
        Verdict([Line(f"version {watch.candidate.version}", outcome.verdict, outcome.because)], [*_sizes(last)]),
        _findings(findings),
        Figures([_course(watch.moments, each) for each in findings if each.state is not State.NOT_COMPARED]),
        Prose(_METHOD, "How it is judged"),
    ]
    return render_page(title, about, parts)


def _phases(watch: Watch) -> str:
    if watch.phase == CANARY:
        return "It was a candidate, and never answered all callers."
    begun_s = next((each.at_s for each in watch.moments if each.phase == ALL), None)
    if begun_s is None:
        return "It was a candidate, and then answered all callers, which nothing was seen of."
    return f"It was a candidate for {begun_s / 60:.1f} of them, and then answered all callers."


def _sizes(last: Moment) -> Iterator[Line]:
    """How many requests of the versions are compared."""
    for who, observed in (("before", last.before), ("candidate", last.candidate)):
        of = observed[SIGNALS[0].name]
        asked = next(iter(of.values()), NOTHING).of
        yield Line(f"requests {who}", f"{asked:,.0f}")


def _findings(findings: Sequence[Finding]) -> Table:
    heads = ["signal", "finding", "compared", "before", "candidate", "margin", "it takes"]
    rows: list[list[str | Cell]] = []
    for each in findings:
        signal = each.signal
        state: str | Cell = Cell(each.state.value, _TONES[each.state]) if each.state in _TONES else each.state.value
        if each.state is State.NOT_COMPARED:
            rows.append([signal.name, state, each.why, "", "", "", ""])
            continue
        margin = f"{'±' if signal.of_content else '+'}{signal.margin:.1%}"
        shares = [_told(each.before), _told(each.candidate)]
        rows.append([signal.name, state, each.comparison, *shares, margin, _needed(each)])
    return Table("What was compared", heads, rows, words=True)


def _told(count: Count) -> str:
    return f"{count.share:.2%} of {count.of:,.0f}" if count.of else "none"


def _needed(finding: Finding) -> str:
    """How much traffic the version must have until it is known to be no worse, if it is not."""
    if finding.state is not State.UNKNOWN:
        return ""
    needed = needed_to_clear(finding.before, finding.before.share, finding.signal.sure, finding.limit)
    if needed is None:
        return "more of the version before, too"
    return f"{needed:,} {finding.signal.unit}, if it is as before"


def _course(moments: Sequence[Moment], finding: Finding) -> Figure:
    """Both shares of a comparison over time, with their bands."""
    alpha = math.exp(-finding.limit)
    sides = [("before", [each.before for each in moments]), ("candidate", [each.candidate for each in moments])]
    bands = {
        who: [band(each[finding.signal.name].get(finding.comparison, NOTHING), alpha) for each in observed]
        for who, observed in sides
    }
    minutes = [each.at_s / 60 for each in moments]
    top = max((each.share for of in bands.values() for each in of if not math.isnan(each.share)), default=0.0)
    chart = Chart(
        x=Axis.over("minutes", [0.0, *minutes]),
        y=Axis(label=f"share of {finding.signal.unit}", low=0.0, high=min(1.0, max(0.02, 1.5 * top))),
    )
    for index, (who, of) in enumerate(bands.items()):
        kind = f"series-{index}"
        chart.line([(at, each.share) for at, each in zip(minutes, of, strict=True)], kind, who)
        for end in ("low", "high"):
            chart.line([(at, getattr(each, end)) for at, each in zip(minutes, of, strict=True)], f"{kind} dashed")
    for at, each in zip(minutes, moments, strict=True):
        if each.phase == ALL:
            chart.band(at, at, at, "limit", "answers all")
            break
    caption = f"{finding.comparison}: what was counted, and, dashed, the ends of the band that the share is in."
    return Figure(finding.signal.name, chart.render(), caption)
