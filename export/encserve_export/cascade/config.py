"""What a cascade is asked to be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from encserve_export.errors import InvalidConfig
from encserve_repository.layout import NAME, RESERVED_ENDINGS


@dataclass(frozen=True, kw_only=True)
class CascadeConfig:
    """One cascade. Raises InvalidConfig when built with a value that cannot be."""

    name: str
    """Name of the new pipeline."""
    small: str
    """The pipeline that is asked about every text."""
    large: str
    """The pipeline that is asked where the small one is unsure."""
    texts: Path
    """Texts drawn from those that are asked about, each as often as it is asked."""
    repository: Path = Path("model_repository")
    agreement: float = 0.99
    """The share of texts, at least, with the first label of the large pipeline."""
    confidence: float = 0.95
    """How sure each of the two statements is to be, by the texts."""
    most_wrong: float | None = None
    """The share of texts, at most, that is answered wrongly and not marked for review; None marks none."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name.endswith(RESERVED_ENDINGS):
            raise InvalidConfig(
                f"the name {self.name!r} of a cascade needs letters, digits, '.', '_' and '-', beginning with a letter "
                f"or digit, without the endings {', '.join(RESERVED_ENDINGS)}"
            )
        if len({self.name, self.small, self.large}) < 3:
            raise InvalidConfig(
                f"a cascade and its two pipelines are three, not {self.name}, {self.small} and {self.large}"
            )
        for option, value in (
            ("--agreement", self.agreement),
            ("--confidence", self.confidence),
            ("--most-wrong", self.most_wrong),
        ):
            if value is not None and not 0 < value < 1:
                raise InvalidConfig(f"{option} {value:g}: a share between 0 and 1 is expected")
