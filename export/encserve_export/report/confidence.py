"""What scores and probabilities are worth, by a certificate that has both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from encserve_pages.axis import Axis
from encserve_pages.chart import Chart
from encserve_pages.page import Cell, Figure, Figures, Part, Table

_CAPTION = (
    "Texts that the temperature was not fitted on, a tenth of them at each point, with the 95 % interval of the share "
    "whose label is right (Clopper and Pearson 1934)."
)


def confidence_parts(parity: Mapping[str, Any]) -> list[Part]:
    """Return the table and the reliability diagram; nothing where no temperature was fitted."""
    confidence = parity.get("confidence")
    if not confidence:
        return []
    texts = confidence["texts"]
    sides = {"score": confidence["before"], "probability": confidence["after"]}
    rows: list[list[str | Cell]] = [
        [
            name,
            f"{error['measured']:.3f}",
            f"{error['by_chance']:.3f}",
            f"{side['log_loss']:.3f}",
        ]
        for name, side in sides.items()
        for error in [side["calibration_error"]]
    ]
    title = (
        f"Temperature {confidence['temperature']:.3f}, fitted on {texts['fitted']:,} texts, and what it is worth on "
        f"{texts['held_out']:,} others"
    )
    heads = ["of the first label", "calibration error", "by chance up to (95 %)", "log loss"]
    return [Table(title, heads, rows), Figures([_reliability(sides)])]


def _reliability(sides: Mapping[str, Mapping[str, Any]]) -> Figure:
    chart = Chart(
        x=Axis(label="mean of the first label", low=0, high=1), y=Axis(label="share that is right", low=0, high=1)
    )
    chart.line([(0, 0), (1, 1)], "fit dashed", "as often right as it says")
    for index, (name, side) in enumerate(sides.items()):
        chart.line([(each["score"], each["right"]) for each in side["bins"]], f"series-{index}", name)
        for each in side["bins"]:
            chart.line([(each["score"], each["low"]), (each["score"], each["high"])], f"series-{index} faint")
    return Figure("Reliability", chart.render(), _CAPTION)
