"""`embed_tokens`: one vector for each token of texts."""

from __future__ import annotations

import numpy as np

from encserve._results import TokenEmbeddings
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import CallOptions, TruncateOption, VectorOptions
from encserve._verbs.verb import TEXTS, Verb


class EmbedTokensOptions(TruncateOption, VectorOptions, CallOptions, total=False):
    """The keywords of `embed_tokens`."""


def _decode(answer: AnswerReader) -> TokenEmbeddings:
    common = answer.common()
    counts, columns = common["token_counts"], answer.option("dimensions", answer.pipeline.dimensions)
    return TokenEmbeddings(
        vectors=answer.ragged("embedding", np.float32, counts, columns),
        offsets=answer.ragged("offsets", np.int32, counts, 2),
        **common,
    )


EMBED_TOKENS = Verb(
    name="embed_tokens",
    task="token-embedding",
    about="""Embed each token of texts, as late interaction needs it.

    The tokens of a prompt have vectors too, and the offsets -1.
    """,
    arguments=TEXTS,
    keywords=EmbedTokensOptions,
    compared=True,
    outputs=lambda given: ("embedding", "offsets"),
    decode=_decode,
)
