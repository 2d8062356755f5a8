"""`embed`: texts to vectors."""

from __future__ import annotations

from typing import Literal

import numpy as np

from encserve._results import Embeddings
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import CallOptions, TruncateOption, VectorOptions, WindowOptions
from encserve._verbs.verb import TEXTS, Given, Verb

OUTPUTS: dict[str, tuple[str, type[np.generic]]] = {
    "float32": ("embedding", np.float32),
    "int8": ("embedding_int8", np.int8),
    "binary": ("embedding_binary", np.uint8),
}
"""Value of `output_dtype` -> the tensor that has the vectors then, and its type."""


class EmbedOptions(TruncateOption, VectorOptions, WindowOptions, CallOptions, total=False):
    """The keywords of `embed`."""

    output_dtype: Literal["float32", "int8", "binary"] | None
    """The type of the vectors: "float32"; "int8", each vector scaled by itself, which keeps cosines; or "binary", one
    bit a component, eight in a byte, for Hamming distances. Floats without it."""


def _vectors(given: Given) -> tuple[str, type[np.generic]]:
    return OUTPUTS[str(given.get("output_dtype", "float32"))]


def _decode(answer: AnswerReader) -> Embeddings:
    columns = answer.option("dimensions", answer.pipeline.dimensions)
    if answer.given.get("output_dtype") == "binary":
        columns = -(-columns // 8)
    return Embeddings(vectors=answer.array(*_vectors(answer.given), (answer.rows, columns)), **answer.common())


EMBED = Verb(
    name="embed",
    task="feature-extraction",
    about="""Embed texts. Returns one row per text, in order.

    With `long_text="chunk"` the vector of a text that is too long is the mean of those of its windows, weighted by
    their tokens, before it is shortened and normalised.
    """,
    arguments=TEXTS,
    keywords=EmbedOptions,
    compared=True,
    outputs=lambda given: (_vectors(given)[0],),
    decode=_decode,
)
