"""`embed_tokens`: one vector for each token of texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encserve._results import TokenEmbeddings
from encserve._verbs.answers import AnswerReader
from encserve._verbs.embedding.vector_types import token_vectors_output, vector_columns, vectors_output
from encserve._verbs.options import CallOptions, InputType, TextAdapterOption, TruncateOption, VectorOptions
from encserve._verbs.verb import HYBRID, LATE_INTERACTION, TEXTS, Verb


class EmbedTokensOptions(TruncateOption, VectorOptions, TextAdapterOption, CallOptions, total=False):
    """The keywords of `embed_tokens`."""

    input_type: InputType | None
    """For pipelines of late interaction, what the texts are: "query" or "document", as which they are read without
    it."""


def _decode(answer: AnswerReader) -> TokenEmbeddings:
    common = answer.common()
    return _read(answer, common["token_counts"], common)


def _decode_sides(answer: AnswerReader) -> TokenEmbeddings:
    return _read(answer, answer.array("vector_count", np.int32, (answer.rows,)), answer.common())


def _decode_hybrid(answer: AnswerReader) -> TokenEmbeddings:
    counts = answer.array("vector_count", np.int32, (answer.rows,))
    return TokenEmbeddings(
        vectors=answer.ragged(*token_vectors_output(answer.given), counts, None),
        offsets=answer.ragged("offsets", np.int32, counts, 2),
        **answer.common(),
    )


def _read(answer: AnswerReader, counts: NDArray[np.int32], common: dict[str, Any]) -> TokenEmbeddings:
    """The vectors of texts, so many of each as `counts` says, (n,)."""
    return TokenEmbeddings(
        vectors=answer.ragged(*vectors_output(answer.given), counts, vector_columns(answer)),
        offsets=answer.ragged("offsets", np.int32, counts, 2),
        **common,
    )


EMBED_TOKENS = Verb(
    name="embed_tokens",
    task="token-embedding",
    about="""Embed each token of texts, as late interaction needs it.

    The tokens of a prompt have vectors too, and the offsets -1. Pipelines of late interaction give those that the
    checkpoint scores: of a query also those that fill it up, with the offsets -1, and of a document none of the tokens
    that it skips.
    """,
    arguments=TEXTS,
    keywords=EmbedTokensOptions,
    compared=True,
    outputs=lambda given: (vectors_output(given)[0], "offsets"),
    decode=_decode,
)
EMBED_TOKENS = replace(
    EMBED_TOKENS,
    also=(
        replace(
            EMBED_TOKENS,
            task=LATE_INTERACTION,
            outputs=lambda given: (vectors_output(given)[0], "offsets", "vector_count"),
            decode=_decode_sides,
        ),
        replace(
            EMBED_TOKENS,
            task=HYBRID,
            always={"dense": False, "sparse": False},
            outputs=lambda given: (token_vectors_output(given)[0], "offsets", "vector_count"),
            decode=_decode_hybrid,
        ),
    ),
)
