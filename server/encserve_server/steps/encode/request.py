"""One request of the encode step: its texts, the outputs that it asks for, and what takes the answer. Nothing here
knows a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Columns: TypeAlias = Mapping[str, Sequence[NDArray[np.int64]]]
"""Graph input -> the part of it that each text has; `input_ids` is among them, and `lengths`, which follows from those,
is not."""
Rows: TypeAlias = Mapping[str, NDArray[np.float32]]
"""Output -> its rows, (rows, W)."""


class NonFiniteRows(Exception):
    """The network computed NaN or infinity for some texts of a request, which is no answer."""

    def __init__(self, texts: Sequence[int]) -> None:
        super().__init__(f"what the network gave for texts {list(texts)} of this request holds NaN or infinity")
        self.texts = texts
        """The places of those texts in the request."""


def as_exception(error: BaseException) -> Exception:
    """Return the exception for an error that stands in the place of rows."""
    return error if isinstance(error, Exception) else RuntimeError(type(error).__name__)


class Watch(Protocol):
    """Whoever wants to know when the texts of a request are computed."""

    def computed(self, batch: Computed) -> None:
        """Take a micro-batch that had texts of it, from any thread. Raises nothing."""


@dataclass(frozen=True, kw_only=True)
class Computed:
    """A micro-batch that was computed."""

    number: str
    """A name that no other has."""
    began_s: float
    """On the clock of `time.monotonic`, as `ended_s`."""
    ended_s: float
    texts: int
    tokens: int
    requests: int
    """Requests of which it had texts."""
    shares: Mapping[Watch, tuple[int, int]]
    """How many texts and tokens it had of each request that is watched."""


@dataclass(frozen=True, kw_only=True)
class EncodeRequest:
    """A request that waits for its turn, or is being computed."""

    columns: Columns
    outputs: tuple[str, ...]
    """The outputs that the request asks for: a pipeline asks for the output of its own head."""
    answer: Callable[[Rows | Exception], None]
    """Takes the rows of all texts, or what went wrong, on the thread that computed the last text. Where something fails
    it may be called again, and only the first time counts. Raises nothing."""
    begin: Callable[[], bool] = lambda: True
    """Called once, when the texts are about to be computed, and returns whether somebody still waits for them; if not,
    it has told the caller so. Raises nothing."""
    fresh: bool = False
    """Whether the request wants what the network computes now, and no rows that were kept."""
    watch: Watch | None = None
    """Who is told of its micro-batches, before the answer."""

    @property
    def texts(self) -> int:
        """The number of texts."""
        return len(self.columns["input_ids"])

    @property
    def tokens(self) -> int:
        """The number of tokens of all texts together."""
        return sum(map(len, self.columns["input_ids"]))
