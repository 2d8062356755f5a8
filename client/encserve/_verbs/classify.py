"""`classify`: texts, or pairs of texts, to labels."""

from collections.abc import Mapping

import numpy as np

from encserve._call import Verb
from encserve._messages import Parameter
from encserve._pipeline import PipelineInfo
from encserve._protocol import TRUNCATIONS, AnswerReader, given, nothing, one_of, positive, window_options
from encserve._results import Classifications


def classify_options(
    *, truncate: str | None, top_k: int | None, long_text: str | None, overlap: int | None
) -> dict[str, Parameter]:
    """The request parameters. Raises InvalidInput."""
    return given(
        {
            "truncate": one_of("truncate", truncate, TRUNCATIONS),
            "top_k": positive("top_k", top_k),
            **window_options(long_text=long_text, overlap=overlap),
        }
    )


def decode_classifications(answer: AnswerReader, columns: int | None) -> Classifications:
    """Labels and scores (n, columns)."""
    labels = answer.strings("label", (answer.rows, columns))
    return Classifications(
        labels=[tuple(row) for row in labels],
        scores=answer.array("score", np.float32, labels.shape),
        **answer.common(),
    )


def _columns(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> int:
    return int(options.get("top_k") or len(pipeline.labels))


def _decode(answer: AnswerReader) -> Classifications:
    return decode_classifications(answer, _columns(answer.pipeline, answer.options))


def _nothing(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> Classifications:
    scores = np.empty((0, _columns(pipeline, options)), np.float32)
    return Classifications(labels=[], scores=scores, **nothing(pipeline))


CLASSIFY = Verb(
    name="classify", task="text-classification", outputs=("label", "score"), decode=_decode, nothing=_nothing
)
