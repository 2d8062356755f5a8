"""Which outputs of a graph a request wants, where one pass gives several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..request.options import InvalidArgument


@dataclass(frozen=True)
class Chosen:
    """What one request wants of the outputs."""

    outputs: tuple[str, ...]
    """Those that are computed for it."""
    none: Mapping[str, NDArray[np.float32]]
    """The others, each without rows, (0, W): whoever comes after this step still gets a tensor of each."""


@dataclass(frozen=True)
class OutputChoice:
    """The outputs that a request may do without, each by a flag among its options."""

    choices: Mapping[str, Mapping[str, Any]]
    """Output -> `option`, the flag that is false where the output is not wanted, and `columns`."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> OutputChoice:
        """Return the choice in a step's settings; of graphs with one output there is none."""
        return cls(settings.get("choices", {}))

    def of(self, offered: Sequence[str], parameters: Mapping[str, Any]) -> Chosen:
        """Return what a request with these options wants of the outputs that are `offered`.

        Raises:
            InvalidArgument: it wants none of them.
        """
        left_out = [name for name in offered if name in self.choices and self._is_off(name, parameters)]
        if left_out and len(left_out) == len(offered):
            flags = ", ".join(str(self.choices[name]["option"]) for name in left_out)
            raise InvalidArgument(f"none of {flags} is true; one at least must be")
        none = {name: np.empty((0, int(self.choices[name]["columns"])), np.float32) for name in left_out}
        return Chosen(tuple(name for name in offered if name not in none), none)

    def _is_off(self, name: str, parameters: Mapping[str, Any]) -> bool:
        return parameters.get(self.choices[name]["option"]) is False
