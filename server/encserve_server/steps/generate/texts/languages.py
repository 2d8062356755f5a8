"""From which language, and into which one: a token of its language stands in each text, and another begins what is made
of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...request.options import Options


@dataclass(frozen=True, kw_only=True)
class Languages:
    """The languages of a pipeline."""

    at: int
    """Where the token of its language stands in a text: 0 for the first of its tokens, -1 for the last."""
    ids: Mapping[str, int]
    """Language -> its token."""

    @classmethod
    def in_settings(cls, settings: Mapping[str, Any]) -> Languages | None:
        """Return those in the settings of a step; None of a network that knows none."""
        return cls(**settings["languages"]) if settings["languages"] else None

    def mark(self, texts: Sequence[NDArray[np.int64]], options: Options) -> None:
        """Write the token of the option `source_language` into each text, by its ids (s,)."""
        for ids in texts:
            ids[self.at] = self.ids[options["source_language"]]

    def first(self, options: Options) -> dict[str, int]:
        """Return with which token a text begins, as an argument of `Rules`; nothing where the request leaves it to the
        checkpoint."""
        target = options["target_language"]
        return {"first": self.ids[target]} if target else {}
