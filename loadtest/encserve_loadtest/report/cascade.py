"""What a plan says of a cascade: how many texts its large pipeline was asked about, and what that took.

The cost of a text is that of the small pipeline and, for the share that goes on, that of the large one. A plan measures
both together, so it holds for texts of which as many go on as of those that it sent.
"""

from encserve_loadtest.findings import Findings
from encserve_loadtest.quantities import percent
from encserve_pages.page import Line

OTHER_SHARE = 0.05
"""Texts of which by so much more or less go on than of those that the cascade was fitted to are of another kind."""


def cascade_lines(findings: Findings) -> list[Line]:
    """The share of the texts that went on; nothing of what is no cascade."""
    workload = findings.workload
    if workload is None or workload.pipeline.cascade is None or not workload.decisions:
        return []
    cascade = workload.pipeline.cascade
    took = f"; that was {percent(findings.large_share)} of what both computed" if findings.large_share else ""
    return [
        Line(
            topic=f"goes on to {cascade.large}",
            figure=f"{percent(workload.escalated_share)} of the texts",
            detail=f"and of those that it was fitted to {percent(cascade.escalated)}{took}",
        )
    ]


def other_texts(findings: Findings) -> str:
    """That the figures are of texts of another kind than the cascade is for; empty where they are not."""
    workload = findings.workload
    if workload is None or workload.pipeline.cascade is None or not workload.decisions:
        return ""
    cascade, share = workload.pipeline.cascade, workload.escalated_share
    if abs(share - cascade.escalated) <= OTHER_SHARE:
        return ""
    told = (
        f"other texts than it was fitted to: {percent(share)} went on to {cascade.large}, and of those "
        f"{percent(cascade.escalated)}"
    )
    if findings.config.keep_texts:
        return f"{told}; if these are what callers send, fit it to them again"
    return f"{told}, so capacity and cost are not those of your texts; send them with --corpus FILE.jsonl --keep-texts"
