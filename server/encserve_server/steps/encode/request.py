"""One request of the encode step: its texts, what it wants to know of them, and who is told. Nothing of a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Columns: TypeAlias = Mapping[str, Sequence[NDArray[np.int64]]]
"""Graph input -> what each text has of it; `input_ids` is among them. `lengths` is not: it follows from those."""
Rows: TypeAlias = Mapping[str, NDArray[np.float32]]
"""Output -> its rows, (rows, W)."""


class NonFiniteRows(Exception):
    """What the network gave for some texts of a request holds NaN or infinity, and is no answer."""

    def __init__(self, texts: Sequence[int]) -> None:
        super().__init__(f"what the network gave for texts {list(texts)} of this request holds NaN or infinity")
        self.texts = texts
        """Their places in the request."""


def as_exception(error: BaseException) -> Exception:
    """What stands for an error in the place of rows."""
    return error if isinstance(error, Exception) else RuntimeError(type(error).__name__)


@dataclass(frozen=True, kw_only=True)
class EncodeRequest:
    """A request that waits for its turn, or is being computed."""

    columns: Columns
    outputs: tuple[str, ...]
    """Those that it asks for: a pipeline asks for the output of its own head."""
    answer: Callable[[Rows | Exception], None]
    """Called on the thread that computed the last text: with the rows of all texts, or with what went wrong. Where
    something fails it may be called again, and only the first time counts. Raises nothing."""
    begin: Callable[[], bool] = lambda: True
    """Called once, when its texts are about to be computed: whether somebody still waits for them. Raises nothing; who
    says no has told the caller so."""
    fresh: bool = False
    """Whether it wants what the network gives now, and no rows that were kept."""

    @property
    def texts(self) -> int:
        """How many there are."""
        return len(self.columns["input_ids"])

    @property
    def tokens(self) -> int:
        """Of all texts together."""
        return sum(map(len, self.columns["input_ids"]))
