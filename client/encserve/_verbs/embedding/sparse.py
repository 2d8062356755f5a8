"""`embed_sparse`: texts to weighted tokens of the vocabulary."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from encserve._results import SparseEmbeddings
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import CallOptions, InputType, TextAdapterOption, TruncateOption, WrittenPromptOption
from encserve._verbs.verb import HYBRID, TEXTS, Verb


class EmbedSparseOptions(TruncateOption, WrittenPromptOption, TextAdapterOption, CallOptions, total=False):
    """The keywords of `embed_sparse`."""

    input_type: InputType | None
    """For pipelines that answer queries by a table of weights, without the network, what the texts are: "query" or
    "document"; as a rule they are documents without it."""
    top_k: int | None
    """How many of the heaviest tokens of each text; all without it."""


def _decode(answer: AnswerReader) -> SparseEmbeddings:
    counts = answer.array("term_count", np.int32, (answer.rows,))
    return SparseEmbeddings(
        token_ids=answer.ragged("token_id", np.int32, counts),
        weights=answer.ragged("weight", np.float32, counts),
        **answer.common(),
    )


EMBED_SPARSE = Verb(
    name="embed_sparse",
    task="sparse-embedding",
    about="Embed texts as weighted tokens of the vocabulary, for an inverted index.",
    arguments=TEXTS,
    keywords=EmbedSparseOptions,
    compared=True,
    outputs=lambda given: ("term_count", "token_id", "weight"),
    decode=_decode,
)
EMBED_SPARSE = replace(
    EMBED_SPARSE, also=(replace(EMBED_SPARSE, task=HYBRID, always={"dense": False, "tokens": False}),)
)
