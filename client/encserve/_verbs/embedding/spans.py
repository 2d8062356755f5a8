"""`embed_spans`: one vector for each part of a text, which is read in the context of all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from encserve._errors import InvalidInput
from encserve._spans.embeddings import SpanEmbeddings
from encserve._verbs.answers import AnswerReader
from encserve._verbs.embedding.vector_types import vector_columns, vectors_output
from encserve._verbs.options import CallOptions, TextAdapterOption, TruncateOption, VectorOptions
from encserve._verbs.verb import TEXTS, Given, Verb

SpanBy = Literal["sentence", "tokens"]


class EmbedSpansOptions(TruncateOption, VectorOptions, TextAdapterOption, CallOptions, total=False):
    """The keywords of `embed_spans`."""

    spans: Sequence[Sequence[tuple[int, int]]] | None
    """For each text a list of its spans, each where it begins and ends as indices into the Python string; they may
    overlap, and none may be without a token. A token belongs to the span in which its last character stands."""
    span_by: SpanBy | None
    """In place of `spans`, what a span is: "sentence", as the punctuation of a text tells them, or "tokens", so many
    one after the other. Without either, sentences."""
    span_tokens: int | None
    """With "tokens", and refused without, how many tokens a span has, the last of a text as many as are left; 128, at
    most the model's length, without it."""


def _complete(given: Given, by_text: Mapping[str, Any]) -> Given:
    """Sentences, where a call does not say what the spans are."""
    if "span_tokens" in given and given.get("span_by") != "tokens":
        raise InvalidInput("span_tokens is given, and span_by is not 'tokens', which alone has so many")
    if "spans" in by_text and "span_by" in given:
        raise InvalidInput("spans and span_by are given; one of them says what the spans are")
    return given if "spans" in by_text or "span_by" in given else {**given, "span_by": "sentence"}


def _decode(answer: AnswerReader) -> SpanEmbeddings:
    counts = answer.array("span_count", np.int32, (answer.rows,))
    return SpanEmbeddings(
        vectors=answer.ragged(*vectors_output(answer.given), counts, vector_columns(answer)),
        spans=answer.ragged("span_offsets", np.int32, counts, 2),
        **answer.common(),
    )


EMBED_SPANS = Verb(
    name="embed_spans",
    task="token-embedding",
    about="""Embed parts of texts that are read whole, as late chunking does.

    The vector of a span is the mean of those of its tokens, without special tokens and a prompt's.

    For pipelines of token vectors whose checkpoint makes the vector of a text so. Vectors are scaled to unit length
    with `normalize` alone. Of a text that is cut, the spans by `span_by` are those that the network saw;
    one of `spans` of which a part was cut is refused.
    """,
    arguments=TEXTS,
    keywords=EmbedSpansOptions,
    complete=_complete,
    compared=True,
    answered_by="spans",
    outputs=lambda given: (vectors_output(given)[0], "span_count", "span_offsets"),
    decode=_decode,
)
