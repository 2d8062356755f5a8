"""A cascade: a pipeline that asks a small one, and a large one about the texts of which the small one is unsure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Cascade:
    """What the configuration of a cascade says of it."""

    small: str
    """The pipeline that is asked about every text."""
    small_version: str
    """Its version; the cascade refuses when another is served."""
    large: str
    """The pipeline that is asked where the small one is unsure."""
    large_version: str
    """Its version; the cascade refuses when another is served."""
    threshold: float
    """The score from which on the small one is sure of its first label."""
    review_threshold: float | None = None
    """The score of the large one below which a person should see a text; None where no such texts are marked."""
    agreement: float
    """The share of texts with the first label of the large pipeline, at least, which the threshold was fitted to."""
    confidence: float
    """How sure that share is, by the texts that the threshold was fitted on; from 0 to 1."""
    escalated: float
    """The share of those texts that went to the large pipeline."""

    @classmethod
    def from_text(cls, text: str) -> Cascade:
        """Read the parameter of a Triton model configuration; keys that this release does not know are passed over.

        Raises:
            ValueError, TypeError, KeyError: it is malformed.
        """
        stated = json.loads(text)
        names = [each.name for each in fields(cls)]
        return cls(**{name: stated[name] for name in names})

    def to_text(self) -> str:
        """The inverse of `from_text`."""
        return json.dumps(asdict(self), sort_keys=True)
