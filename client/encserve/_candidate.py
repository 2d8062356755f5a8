"""The candidate of a pipeline: a published version that answers beside the active one, for a share of the callers.

Triton has one list of steps for all versions of an ensemble, so the server has the candidate under a name of its own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

_ENDING = "_candidate"
_WHOLE = 2.0**64


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What the configuration of a pipeline says of its candidate."""

    version: str
    share: float = 0.0
    """The share of callers, or of calls without a caller, that it answers; from 0 to 1."""
    shadow: float = 0.0
    """The share of the traffic of gateways that it is asked again, without a caller hearing of it; from 0 to 1."""

    def __post_init__(self) -> None:
        shares = (self.share, self.shadow)
        if not self.version.isdecimal() or not any(shares) or not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"version {self.version!r} with the shares {shares} is no candidate")

    @classmethod
    def from_text(cls, text: str) -> Candidate:
        """Read the parameter of a Triton model configuration.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is malformed.
        """
        stated = json.loads(text)
        shares = {name: float(stated.get(name, 0.0)) for name in ("share", "shadow")}
        return cls(version=str(stated["version"]), **shares)

    def to_text(self) -> str:
        """The inverse of `from_text`."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})

    def takes(self, pipeline: str, caller: str) -> bool:
        """Whether it answers a caller of the pipeline. A share that grows keeps those whom it has."""
        digest = hashlib.sha256(f"{pipeline}:{caller}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / _WHOLE < self.share


def candidate_model(pipeline: str) -> str:
    """The Triton model under which the candidate of a pipeline is asked."""
    return f"{pipeline}{_ENDING}"


def is_candidate_model(model: str) -> bool:
    """Whether a pipeline's candidate is asked under this name, which no pipeline has."""
    return model.endswith(_ENDING)
