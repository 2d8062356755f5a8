"""The sums of a window, out of what a server, or a Prometheus that watches servers, has counted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from encserve_lifecycle.watch.series import Growth

from .two_samples import Window

SUMS, TEXTS, SQUARES = "encserve_projection_sum", "encserve_summed_vectors", "encserve_summed_vectors_squared"


def window_of(grown: Growth, pipeline: str, version: int, directions: int) -> Window | None:
    """Return the sums by which the counters of a version of a pipeline have grown; None where its server has none."""
    head = (f"{pipeline}_head",)
    sides = {side: grown.by("direction", SUMS, head, version=str(version), side=side) for side in ("above", "below")}
    return window_of_sums(
        sides,
        grown.total(TEXTS, head, version),
        grown.total(SQUARES, head, version),
        directions,
    )


def window_of_sums(
    sides: Mapping[str, Mapping[str, float]], texts: float, squares: float, directions: int
) -> Window | None:
    """Return the window of sums by side and direction; None where those of a direction are missing."""
    numbers = [str(number) for number in range(directions)]
    if any(number not in sides.get(side, {}) for side in ("above", "below") for number in numbers):
        return None
    total = np.array([sides["above"][number] - sides["below"][number] for number in numbers])
    return Window(texts=texts, squares=squares, total=total)
