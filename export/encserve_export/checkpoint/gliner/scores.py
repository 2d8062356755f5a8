"""What the two ways to give scores share: how many labels there are, and where their tensors lie in a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat

from torch import Tensor

MOST_LABELS = 64
"""Of one request. Each row of scores has a place for as many."""


@dataclass(frozen=True)
class Part:
    """A tensor of the library, or one block of it. Matrices that a graph multiplies by themselves are cut before it is
    traced: what is cut in a graph is no constant that a precision could round."""

    name: str
    row: int = 0
    rows: int = 1
    """Into how many blocks the tensor is cut along its first axis, and which of them this is."""
    column: int = 0
    columns: int = 1
    """Likewise along its second axis."""

    def whole(self, shape: Sequence[int]) -> list[int]:
        """The shape of the tensor of which a part has `shape`."""
        blocks = chain((self.rows, self.columns), repeat(1))
        return [size * of_axis for size, of_axis in zip(shape, blocks, strict=False)]

    def of(self, tensor: Tensor) -> Tensor:
        """The part of the whole tensor, (...) or (..., ...)."""
        block = tensor.chunk(self.rows, 0)[self.row]
        return (block.chunk(self.columns, 1)[self.column] if tensor.ndim > 1 else block).contiguous()
