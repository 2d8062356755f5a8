"""`embed_hybrid`: texts to vectors, weighted terms and vectors of tokens, of one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from encserve._hybrid.embeddings import HybridEmbeddings
from encserve._verbs.answers import AnswerReader
from encserve._verbs.embedding.vector_types import token_vectors_output, vector_columns, vectors_output
from encserve._verbs.options import CallOptions, OutputDtype, TruncateOption
from encserve._verbs.verb import HYBRID, TEXTS, Given, Verb


class EmbedHybridOptions(TruncateOption, CallOptions, total=False):
    """The keywords of `embed_hybrid`."""

    dense: bool | None
    """Whether the vector of each text is wanted; it is without the option."""
    sparse: bool | None
    """Whether weighted tokens of the vocabulary are wanted; they are without the option."""
    tokens: bool | None
    """Whether the vectors of tokens are wanted; they are without the option."""
    top_k: int | None
    """How many of the heaviest tokens of each text; all without it."""
    normalize: bool | None
    """Whether to scale the vectors, of texts and of tokens, to unit length; they are without the option."""
    output_dtype: OutputDtype | None
    """The type of the vectors, of texts and of tokens: "float32", "int8" or "binary", as in `embed`. Floats without
    it."""


def _wants(given: Given, name: str) -> bool:
    return given.get(name) is not False


def _outputs(given: Given) -> tuple[str, ...]:
    return (
        *((vectors_output(given)[0],) if _wants(given, "dense") else ()),
        *(("term_count", "token_id", "weight") if _wants(given, "sparse") else ()),
        *((token_vectors_output(given)[0], "offsets", "vector_count") if _wants(given, "tokens") else ()),
    )


def _decode(answer: AnswerReader) -> HybridEmbeddings:
    found: dict[str, Any] = dict.fromkeys(("vectors", "token_ids", "weights", "token_vectors", "offsets"))
    given = answer.given
    if _wants(given, "dense"):
        found["vectors"] = answer.array(*vectors_output(given), (answer.rows, vector_columns(answer)))
    if _wants(given, "sparse"):
        counts = answer.array("term_count", np.int32, (answer.rows,))
        found["token_ids"] = answer.ragged("token_id", np.int32, counts)
        found["weights"] = answer.ragged("weight", np.float32, counts)
    if _wants(given, "tokens"):
        counts = answer.array("vector_count", np.int32, (answer.rows,))
        found["token_vectors"] = answer.ragged(*token_vectors_output(given), counts, None)
        found["offsets"] = answer.ragged("offsets", np.int32, counts, 2)
    return HybridEmbeddings(**found, **answer.common())


EMBED_HYBRID = Verb(
    name="embed_hybrid",
    task=HYBRID,
    about="""Embed texts as vectors, as weighted tokens of the vocabulary, and as vectors of their tokens, of one pass.

    Each of the three may be left out, and is not computed then. `scores` of the answer combines them.
    """,
    arguments=TEXTS,
    keywords=EmbedHybridOptions,
    compared=True,
    outputs=_outputs,
    decode=_decode,
)
