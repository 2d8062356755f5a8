"""What the certificate of a pipeline that generates found, drawn: tokens that differ, and how near to ties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from encserve_export.publication.siblings import Published
from encserve_pages.axis import Axis
from encserve_pages.chart import Chart, Point
from encserve_pages.page import Figure, Table

_FLOOR = 1e-9
"""Differences below are drawn here: a logarithmic axis has no zero."""
_LEAST_MARGIN = 1e-4
"""Margins below are drawn here."""
_MOST_DIFFERENCES = 20
"""So many are in the table."""


def reported(parity: Mapping[str, Any]) -> Table:
    """What was measured with beams and is held to no limit."""
    rows = [[name, f"{number:.6g}"] for name, number in parity.get("reported", {}).items()]
    title = f"Told, and held to no limit; {parity.get('num_beams', 1)} beams"
    return Table(title, ["figure", "measured"], rows)


def differences(parity: Mapping[str, Any]) -> Table:
    """Where texts first have another token than the library's."""
    found = parity.get("differences", [])
    rows = [
        [
            f"text {each['text']}",
            f"{parity['token_counts'][each['text']]:,}",
            f"{each['token']:,}",
            f"{each['margin']:.3g}",
            each["library"],
            each["ours"],
        ]
        for each in found[:_MOST_DIFFERENCES]
    ]
    shown = f", {_MOST_DIFFERENCES} of them here" if len(found) > _MOST_DIFFERENCES else ""
    heads = ["", "tokens of it", "tokens alike", "the library's lead", "the library's token", "ours"]
    return Table(f"{len(found)} of {parity['texts']} texts with other tokens than the library's{shown}", heads, rows)


def generation_figures(siblings: Sequence[Published], colour: Sequence[str]) -> Iterator[Figure]:
    """The figures of pipelines that generate; each has its `colour`. Certificates of earlier releases have no such
    numbers."""
    having = [(each, kind) for each, kind in zip(siblings, colour, strict=True) if "margins" in each.manifest["parity"]]
    if having and having[0][0] is siblings[0]:
        shown, colours = zip(*having, strict=True)
        yield _logits(shown, colours)
        yield _margins(shown, colours)


def _logits(siblings: Sequence[Published], colour: Sequence[str]) -> Figure:
    limit = siblings[0].manifest["parity"]["figures"]["logits_max_diff"]["limit"]
    points: dict[str, list[Point]] = {}
    for each in siblings:
        parity = each.manifest["parity"]
        found = zip(parity["output_token_counts"], parity["logits_max_diff_by_text"], strict=True)
        points[each.title] = [
            (float(tokens), max(most, _FLOOR), f"{each.title}: {tokens} new tokens, {most:.3g}")
            for tokens, most in found
        ]
    drawn = [point for some in points.values() for point in some]
    chart = Chart(
        x=Axis.over("new tokens of the text", [x for x, _, _ in drawn]),
        y=Axis.over("largest difference of a logit (log)", [*(y for _, y, _ in drawn), limit], log=True),
    )
    for kind, (title, some) in zip(colour, points.items(), strict=True):
        chart.dots(some, kind, title, radius=3.2)
    chart.across(limit, "limit", f"limit of {siblings[0].manifest['precision']}")
    caption = (
        "Largest difference of any logit from the checkpoint's while both follow the library's tokens, over the "
        "standard deviation of the logits there. One dot for each text."
    )
    return Figure("Difference of logits", chart.render(), caption)


def _margins(siblings: Sequence[Published], colour: Sequence[str]) -> Figure:
    parity = siblings[0].manifest["parity"]
    margins = [max(margin, _LEAST_MARGIN) for margin in parity["margins"]]
    limit = parity["figures"]["tie_margin"]["limit"]
    chart = Chart(
        x=Axis.over("lead of the likeliest token (log)", [*margins, max(limit, _LEAST_MARGIN)], log=True),
        y=Axis(label="share of tokens with a smaller lead", low=0, high=1),
    )
    last = len(margins) - 1
    chart.line([(margin, place / last) for place, margin in enumerate(margins)], "fit", "all tokens of the library")
    for kind, each in zip(colour, siblings, strict=True):
        dots: list[Point] = [
            (
                max(one["margin"], _LEAST_MARGIN),
                _share_below(margins, one["margin"]),
                f"{each.title}: text {one['text']} after {one['token']} tokens, {one['margin']:.3g}",
            )
            for one in each.manifest["parity"]["differences"]
        ]
        chart.dots(dots, kind, f"{each.title}: first token of a text that differs" if dots else "", radius=4)
    chart.band(limit, limit, max(limit, _LEAST_MARGIN), "limit", f"limit of {siblings[0].manifest['precision']}")
    caption = (
        "By how much the library's likeliest token leads the second, over the standard deviation of its logits: of all "
        "tokens that it made, and where a text first has another token. A difference is a tie where the lead is small."
    )
    return Figure("Leads of tokens, and where texts differ", chart.render(), caption)


def _share_below(margins: Sequence[float], margin: float) -> float:
    return sum(each < margin for each in margins) / len(margins)
