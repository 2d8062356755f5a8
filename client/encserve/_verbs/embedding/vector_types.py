"""The types in which vectors come."""

from __future__ import annotations

import numpy as np

from encserve._verbs.answers import AnswerReader
from encserve._verbs.verb import Given

OUTPUTS: dict[str, tuple[str, type[np.generic]]] = {
    "float32": ("embedding", np.float32),
    "int8": ("embedding_int8", np.int8),
    "binary": ("embedding_binary", np.uint8),
}
"""Value of `output_dtype` -> the tensor that has the vectors then, and its type."""


def vectors_output(given: Given) -> tuple[str, type[np.generic]]:
    """The tensor that has the vectors which the options `given` ask for, and its type."""
    return OUTPUTS[str(given.get("output_dtype", "float32"))]


def token_vectors_output(given: Given) -> tuple[str, type[np.generic]]:
    """Likewise of a pipeline that has vectors of texts and of tokens, the tensor of the latter."""
    name, dtype = vectors_output(given)
    return f"token_{name}", dtype


def vector_columns(answer: AnswerReader) -> int:
    """How many columns a vector has: its components, or bytes of eight of them."""
    columns = answer.option("dimensions", answer.pipeline.dimensions)
    return -(-columns // 8) if answer.given.get("output_dtype") == "binary" else columns
