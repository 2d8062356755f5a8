"""Where sampled texts are kept, how many and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from encserve import InvalidInput


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """The settings of sampled texts, checked when they are made."""

    folder: Path
    """The folder of the files, a day each, such as 2027-01-31.jsonl, in UTC."""
    max_bytes: int = 64 << 20
    """Bytes of all files at most: days before go first, and then nothing more is written."""
    days: int = 7
    """Days after which a file is removed: one of today is 0 days old."""
    scrub_model: str = ""
    """A pipeline of the task token-classification whose entities are taken out as well; empty for patterns alone."""

    def __post_init__(self) -> None:
        for name in ("max_bytes", "days"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} of the sampled log is {getattr(self, name)}, it must be 1 or more")
