"""What was found of other server settings."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from encserve_loadtest.estimate.capacity import Capacity
from encserve_loadtest.tune.altered_repository import Settings
from encserve_loadtest.tune.paired import Comparison


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Settings beside the best that were known before."""

    settings: Settings
    comparison: Comparison
    """With those."""


@dataclass(kw_only=True)
class Tuning:
    """The trials, and what they recommend."""

    rate_per_s: float
    """Where the settings are compared: about what one replica holds with the best of them."""
    baseline: Settings
    """The settings of the repository."""
    trials: list[Trial] = field(default_factory=list)
    untried: list[dict[str, int]] = field(default_factory=list)
    """Changes for which there was no time."""
    best: Settings
    capacity: Capacity | None = None
    """Of the best settings, searched as that of the served ones; None where the best are those of the repository."""

    @property
    def changes(self) -> dict[str, tuple[int | None, int | None]]:
        """Setting -> (now, better); empty where nothing was better."""
        return differences(self.baseline, self.best)


def differences(old: Settings, new: Settings) -> dict[str, tuple[int | None, int | None]]:
    """The settings that differ: name -> (old, new)."""
    pairs = {each.name: (getattr(old, each.name), getattr(new, each.name)) for each in fields(Settings)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
