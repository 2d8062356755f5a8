"""What a request of the encode step may hold.

A caller of a pipeline can ask its steps, too. A text that the network cannot take must fail before it lies in a
micro-batch beside the texts of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..request.options import InvalidArgument


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The bounds of the packed tensors of one request."""

    max_length: int
    """The most tokens that one text may have."""
    max_tokens: int
    """The most tokens that all texts of a request may have together."""
    vocabularies: Mapping[str, int]
    """Tensor of tokens -> the number of different values that it may hold, counted from 0."""
    columns_of_none: Mapping[str, int] | None = None
    """Output -> its columns, where a request may have no texts, as one of queries that a table answers; None where it
    may not."""
    mask_id: int | None = None
    """The token id of a mask, where the network gives rows for masks; None in versions that do not say it."""

    def check(self, tensors: Mapping[str, NDArray[np.int64]]) -> None:
        """Raise an error for tensors that the network cannot take.

        Raises:
            InvalidArgument: `lengths` are not those of the tokens, a tensor is too long, a value is unknown, or masks
                are not where `mask_at` says.
        """
        lengths, count = tensors["lengths"], len(tensors["input_ids"])
        if not len(lengths):
            if self.columns_of_none is None or any(map(len, tensors.values())):
                raise InvalidArgument("the request has no texts")
            return
        shortest, longest = int(lengths.min()), int(lengths.max())
        if shortest < 1 or longest > self.max_length:
            wrong = shortest if shortest < 1 else longest
            raise InvalidArgument(f"a text has {wrong} tokens; 1 to {self.max_length} are expected")
        if count > self.max_tokens:
            raise InvalidArgument(f"the request has {count} tokens; at most {self.max_tokens} are expected")
        if (total := int(lengths.sum())) != count:
            raise InvalidArgument(f"lengths add up to {total}, and input_ids has {count} tokens")
        for name, tensor in tensors.items():
            if name == "mask_at":
                _check_values(name, tensor, count)
                if (np.diff(tensor) <= 0).any():
                    raise InvalidArgument("mask_at must rise")
                self._check_masks(tensor, tensors["input_ids"])
            elif name != "lengths":
                if len(tensor) != count:
                    raise InvalidArgument(f"{name} has {len(tensor)} elements for {count} tokens")
                _check_values(name, tensor, self.vocabularies[name])

    def _check_masks(self, mask_at: NDArray[np.int64], input_ids: NDArray[np.int64]) -> None:
        """Refuse masks that `mask_at` does not name: the network finds masks among the tokens of a batch, and one that
        is not counted would take the rows of another text."""
        if self.mask_id is not None:
            wrong = np.setxor1d(mask_at, np.flatnonzero(input_ids == self.mask_id))
            if len(wrong):
                raise InvalidArgument(f"mask_at is wrong about token {wrong[0]}: it must hold each mask, and no other")


def _check_values(name: str, tensor: NDArray[np.int64], size: int) -> None:
    if len(tensor) and (tensor.min() < 0 or tensor.max() >= size):
        wrong = next(value for value in tensor.tolist() if not 0 <= value < size)
        raise InvalidArgument(f"{name} holds {wrong}; 0 to {size - 1} are expected")
