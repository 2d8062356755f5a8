"""`embed`: texts to vectors."""

from __future__ import annotations

from dataclasses import replace

from encserve._results import Embeddings
from encserve._verbs.answers import AnswerReader
from encserve._verbs.embedding.vector_types import vector_columns, vectors_output
from encserve._verbs.options import CallOptions, TextAdapterOption, TruncateOption, VectorOptions, WindowOptions
from encserve._verbs.verb import HYBRID, TEXTS, Verb


class EmbedOptions(TruncateOption, VectorOptions, WindowOptions, TextAdapterOption, CallOptions, total=False):
    """The keywords of `embed`."""


def _decode(answer: AnswerReader) -> Embeddings:
    shape = (answer.rows, vector_columns(answer))
    return Embeddings(vectors=answer.array(*vectors_output(answer.given), shape), **answer.common())


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
    outputs=lambda given: (vectors_output(given)[0],),
    decode=_decode,
)
EMBED = replace(EMBED, also=(replace(EMBED, task=HYBRID, always={"sparse": False, "tokens": False}),))
