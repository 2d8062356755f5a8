"""The options of a request: Triton request parameters, checked against what the pipeline offers.

Every step reads them with the same rules. Tokenize comes first, so a wrong option is refused before anything is
computed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TRUNCATE_SIDES = ("end", "start", "error")


class InvalidArgument(ValueError):
    """The request is wrong; the message names the thing, the limit and the value."""


@dataclass(frozen=True)
class Options:
    """What a request for sentence embeddings may choose."""

    truncate: str
    """Where a text longer than the model allows is cut: "end" or "start"; "error" refuses it."""
    prompt_name: str | None
    """Which of the checkpoint's prompts is put before each text; None or "" for none."""
    dimensions: int | None
    """How many leading components of each vector to keep; None for all."""
    normalize: bool
    """Whether vectors are scaled to length 1, after shortening."""


@dataclass(frozen=True)
class OptionRules:
    """What a pipeline offers, from its settings."""

    defaults: Options
    prompt_names: tuple[str, ...]
    dimensions: int
    """Components of a full vector."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> OptionRules:
        """Read the rules from a step's settings."""
        return cls(
            defaults=Options(**settings["option_defaults"]),
            prompt_names=tuple(settings["prompt_names"]),
            dimensions=settings["dimensions"],
        )

    def parse(self, parameters: str) -> Options:
        """Check the parameters of a request, a JSON object as Triton hands it over.

        Raises:
            InvalidArgument: an option that does not exist, or a value that is not allowed.
        """
        given = json.loads(parameters) if parameters else {}
        if not given:
            return self.defaults
        chosen = dict(vars(self.defaults))
        for name, value in given.items():
            if name not in _CHECKS:
                raise InvalidArgument(f"unknown option {name!r}; this pipeline knows {', '.join(sorted(_CHECKS))}")
            chosen[name] = _CHECKS[name](self, value)
        return Options(**chosen)


def _truncate(rules: OptionRules, value: object) -> str:
    if value not in TRUNCATE_SIDES:
        raise InvalidArgument(f"option truncate is {value!r}; allowed are {', '.join(TRUNCATE_SIDES)}")
    return str(value)


def _prompt_name(rules: OptionRules, value: object) -> str:
    if value != "" and value not in rules.prompt_names:
        offered = ", ".join(rules.prompt_names) or "none"
        raise InvalidArgument(f"option prompt_name is {value!r}; the prompts of this checkpoint: {offered}")
    return str(value)


def _dimensions(rules: OptionRules, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= rules.dimensions:
        raise InvalidArgument(f"option dimensions is {value!r}; it must be a whole number from 1 to {rules.dimensions}")
    return value


def _normalize(rules: OptionRules, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument(f"option normalize is {value!r}; it must be true or false")
    return value


_CHECKS: dict[str, Callable[[OptionRules, object], Any]] = {
    "truncate": _truncate,
    "prompt_name": _prompt_name,
    "dimensions": _dimensions,
    "normalize": _normalize,
}
