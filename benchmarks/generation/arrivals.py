"""How long texts wait that come one by one, at a share of the rate at which CTranslate2 makes a closed set of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.generation.checkpoint import Request
from benchmarks.generation.systems import Peer, Served

SHARE = 0.6
"""Of that rate."""


@dataclass(frozen=True)
class Waited:
    """Percentiles of one system, in milliseconds."""

    first_p95: float
    whole_p50: float
    whole_p95: float
    gap_spread: float
    """By how much a token takes longer in one text of twenty than in the middle one, each text by its mean: what those
    pay who are under way when others come."""


def waited(systems: Mapping[str, Peer | Served], asked: Sequence[Request], *, rate_per_s: float) -> dict[str, Waited]:
    """System -> how long texts took that came as those of independent callers do, the same ones at the same moments."""
    due_s = np.random.default_rng(1).exponential(1 / rate_per_s, len(asked)).cumsum().tolist()
    found = {}
    for name, system in systems.items():
        waits = system.as_they_come(asked, due_s)
        first, whole = np.array(waits.first_s) * 1e3, np.array(waits.whole_s) * 1e3
        more = np.array([each.new_tokens - 1 for each in asked])
        usual, slow = np.percentile(((whole - first) / more)[more > 0], [50, 95])
        found[name] = Waited(
            first_p95=round(float(np.percentile(first, 95)), 1),
            whole_p50=round(float(np.percentile(whole, 50)), 1),
            whole_p95=round(float(np.percentile(whole, 95)), 1),
            gap_spread=round(float(slow / usual), 2),
        )
    return found
