"""`classify_tokens`: the entities of texts."""

from __future__ import annotations

from typing import Literal

import numpy as np

from encserve._results import Entity, TokenClassifications
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import CallOptions, TextAdapterOption, TruncateOption, WindowOptions
from encserve._verbs.verb import TEXTS, Verb


class ClassifyTokensOptions(TruncateOption, WindowOptions, TextAdapterOption, CallOptions, total=False):
    """The keywords of `classify_tokens`."""

    aggregation: Literal["none", "simple", "first", "average", "max"] | None
    """How tokens become entities: "none" for a label of each token; "simple" to join neighbours of one label; "first",
    "average" or "max" to give each word the label of its first token, of the mean or of the surest one, and then join
    neighbours. "simple" without it."""


def decode_entities(answer: AnswerReader) -> TokenClassifications:
    """The entities of each text. Raises ContractError."""
    counts = answer.array("entity_count", np.int32, (answer.rows,))
    total = int(counts.sum())
    columns = zip(
        answer.strings("label", (total,)),
        answer.array("score", np.float32, (total,)).tolist(),
        answer.strings("entity", (total,)),
        answer.array("start", np.int32, (total,)).tolist(),
        answer.array("end", np.int32, (total,)).tolist(),
        strict=True,
    )
    return TokenClassifications(
        entities=[[Entity(*next(columns)) for _ in range(count)] for count in counts], **answer.common()
    )


CLASSIFY_TOKENS = Verb(
    name="classify_tokens",
    task="token-classification",
    about="""Find the entities of texts, with their places as Python string indices.

    With `long_text="chunk"`, of what two windows of a text share, each tells the half that is farther from its edge.
    """,
    arguments=TEXTS,
    keywords=ClassifyTokensOptions,
    outputs=lambda given: ("entity_count", "label", "entity", "score", "start", "end"),
    decode=decode_entities,
)
