"""What comes of asking a running server for the certificate of its pipeline again."""

from __future__ import annotations

from dataclasses import dataclass, field

from encserve_export.certificate.figures.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a server answered, beside what its pipeline was certified with."""

    name: str
    version: str
    certificate: str
    """Digest of the manifest, as the server states it."""
    asked: dict[str, int]
    """Of what was asked, by section of the reference: how many texts, and of `variants` how many of them again."""
    figures: list[Figure]
    certified: dict[str, float]
    """What the manifest says of each figure."""
    held_out: list[Figure] = field(default_factory=list)
    """The figures on the user's own texts."""
    held_out_certified: dict[str, float] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    """Why it has drifted; empty where it has not."""
    left_out: list[str] = field(default_factory=list)
    """What of the certificate was not asked, and why."""

    @property
    def drifted(self) -> bool:
        """Whether the server gives something else than what was certified."""
        return bool(self.complaints)
