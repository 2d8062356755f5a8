"""`score`: how likely texts are to a masked language model."""

from collections.abc import Mapping

import numpy as np

from encserve._call import Verb
from encserve._messages import Parameter
from encserve._pipeline import PipelineInfo
from encserve._protocol import TRUNCATIONS, AnswerReader, given, nothing, one_of
from encserve._results import TextScores


def score_options(*, truncate: str | None) -> dict[str, Parameter]:
    """The request parameters. Raises InvalidInput."""
    return given({"score_texts": True, "truncate": one_of("truncate", truncate, TRUNCATIONS)})


def _decode(answer: AnswerReader) -> TextScores:
    return TextScores(
        log_likelihoods=answer.array("pseudo_log_likelihood", np.float32, (answer.rows,)),
        scored_counts=answer.array("mask_count", np.int32, (answer.rows,)),
        **answer.common(),
    )


def _nothing(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> TextScores:
    return TextScores(log_likelihoods=np.empty(0, np.float32), scored_counts=np.empty(0, np.int32), **nothing(pipeline))


SCORE = Verb(
    name="score",
    task="fill-mask",
    outputs=("mask_count", "pseudo_log_likelihood"),
    decode=_decode,
    nothing=_nothing,
    copied=True,
)
