"""A check whether the tensors of a request of the head step fit together.

A caller of a pipeline can ask this step, too, with tensors that no other step gives. That is a mistake of the caller,
to be told from a fault of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..request.options import InvalidArgument


@dataclass(frozen=True)
class Fit:
    """The shapes and the sums that the tensors of a request of a head must have."""

    shapes: Mapping[str, tuple[str | int, ...]]
    """Tensor -> its axes without the leading one of 1: each is a number of elements, or the name of an axis that other
    tensors share."""
    sums: Mapping[str, str] = field(default_factory=dict)
    """Tensor of counts, each 1 or more -> the axis that they add up to."""
    wanted_by: Mapping[str, str] = field(default_factory=dict)
    """Tensor that not every request wants -> the option that is true where it does."""

    def check(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Refuse tensors that do not fit together. Raises InvalidArgument, which names the tensor."""
        known: dict[str | int, int] = {}
        for name, axes in self.shapes.items():
            shape = tensors[name].shape
            expected = [axis if isinstance(axis, int) else known.get(axis) for axis in axes]
            if len(shape) != len(axes) or any(
                size not in (None, own) for own, size in zip(shape, expected, strict=True)
            ):
                wanted = [axis if size is None else size for axis, size in zip(axes, expected, strict=True)]
                raise InvalidArgument(
                    f"input {name} has shape {[1, *shape]}; [{', '.join(map(str, [1, *wanted]))}] is expected"
                )
            known.update(zip(axes, shape, strict=True))
        for name, axis in self.sums.items():
            counts = tensors[name]
            if len(counts) and counts.min() < 1:
                raise InvalidArgument(f"input {name} holds {counts.min()}; 1 or more is expected")
            if (total := int(counts.sum(dtype=np.int64))) != known[axis]:
                raise InvalidArgument(f"input {name} adds up to {total}; there are {known[axis]} {axis}")


def text_of(raw: bytes) -> str:
    """Return a text out of its bytes in a tensor. Raises InvalidArgument if it is not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"a text is not valid UTF-8: {error.reason} at byte {error.start}") from None
