"""`classify_tokens`: the entities of texts."""

from collections.abc import Mapping

import numpy as np

from encserve._call import Verb
from encserve._messages import Parameter
from encserve._pipeline import PipelineInfo
from encserve._protocol import TRUNCATIONS, AnswerReader, given, nothing, one_of, window_options
from encserve._results import Entity, TokenClassifications

AGGREGATIONS = ("none", "simple", "first", "average", "max")
"""The values of `aggregation`."""


def classify_tokens_options(
    *, truncate: str | None, aggregation: str | None, long_text: str | None, overlap: int | None
) -> dict[str, Parameter]:
    """The request parameters. Raises InvalidInput."""
    return given(
        {
            "truncate": one_of("truncate", truncate, TRUNCATIONS),
            "aggregation": one_of("aggregation", aggregation, AGGREGATIONS),
            **window_options(long_text=long_text, overlap=overlap),
        }
    )


def _decode(answer: AnswerReader) -> TokenClassifications:
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


def _nothing(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> TokenClassifications:
    return TokenClassifications(entities=[], **nothing(pipeline))


CLASSIFY_TOKENS = Verb(
    name="classify_tokens",
    task="token-classification",
    outputs=("entity_count", "label", "entity", "score", "start", "end"),
    decode=_decode,
    nothing=_nothing,
)
