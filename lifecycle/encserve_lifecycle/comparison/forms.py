"""The forms in which a pipeline serves its vectors, made from whole ones as its head step makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .ranks import Vectors, unit

LEAST = 32
"""Vectors are not shortened below it."""
_FULL_SCALE = 127


@dataclass(frozen=True)
class Form:
    """A type and a length of vectors."""

    dtype: Literal["float32", "int8", "binary"]
    """`output_dtype` of `embed`."""
    dimensions: int

    @property
    def bytes(self) -> float:
        """What a vector takes in a store."""
        return {"float32": 4.0, "int8": 1.0, "binary": 1 / 8}[self.dtype] * self.dimensions

    def of(self, vectors: Vectors) -> Vectors:
        """Whole vectors (n, d) in this form, as floats whose cosines a search goes by: bits are -1 and 1, whose cosines
        fall as Hamming distances grow."""
        shortened = unit(vectors[:, : self.dimensions])
        if self.dtype == "binary":
            return np.where(shortened > 0, np.float32(1), np.float32(-1))
        if self.dtype == "int8":
            largest = np.abs(shortened).max(axis=1, keepdims=True)
            steps: Vectors = np.rint(shortened * (_FULL_SCALE / np.where(largest == 0, 1, largest)))
            return steps
        return shortened


def forms_of(dimensions: int) -> list[Form]:
    """The whole length, half and a quarter of it, in each type."""
    kept = [each for each in (dimensions, dimensions // 2, dimensions // 4) if each >= LEAST or each == dimensions]
    return [Form(dtype, each) for each in kept for dtype in ("float32", "int8", "binary")]
