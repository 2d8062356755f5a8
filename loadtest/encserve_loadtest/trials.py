"""What was found of other server settings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from encserve_loadtest.altered_repository import Settings
from encserve_loadtest.estimate.capacity import Capacity


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One set of settings."""

    settings: Settings
    throughput_per_s: float
    """Of the closed loop, in requests per second: its users, divided by their mean latency (Little's law)."""

    def gain_over(self, other: Trial) -> float:
        """How much more it brings, as a share of `other`; infinite where that answered nothing and this did."""
        if not other.throughput_per_s:
            return math.inf if self.throughput_per_s else 0.0
        return self.throughput_per_s / other.throughput_per_s - 1


@dataclass(kw_only=True)
class Tuning:
    """The trials, and what they recommend."""

    users: int
    """Users of the closed loop: as many as are in the server at its capacity."""
    baseline: Trial
    """The settings of the repository."""
    trials: list[Trial] = field(default_factory=list)
    """All others."""
    untried: list[dict[str, int]] = field(default_factory=list)
    """Changes for which there was no time."""
    best: Trial
    capacity: Capacity | None = None
    """Of the best settings, searched as that of the served ones; None where the best are those of the repository."""

    @property
    def changes(self) -> dict[str, tuple[int | None, int | None]]:
        """Setting -> (now, better); empty where nothing was better."""
        return differences(self.baseline.settings, self.best.settings)


def differences(old: Settings, new: Settings) -> dict[str, tuple[int | None, int | None]]:
    """The settings that differ: name -> (old, new)."""
    pairs = {each.name: (getattr(old, each.name), getattr(new, each.name)) for each in fields(Settings)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
