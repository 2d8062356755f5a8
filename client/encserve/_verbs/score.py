"""`score`: how likely texts are to a masked language model."""

from __future__ import annotations

import numpy as np

from encserve._results import TextScores
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import AdapterOption, CallOptions, TruncateOption
from encserve._verbs.verb import TEXTS, Verb


class ScoreOptions(TruncateOption, AdapterOption, CallOptions, total=False):
    """The keywords of `score`."""


def _decode(answer: AnswerReader) -> TextScores:
    return TextScores(
        log_likelihoods=answer.array("pseudo_log_likelihood", np.float32, (answer.rows,)),
        scored_counts=answer.array("mask_count", np.int32, (answer.rows,)),
        **answer.common(),
    )


SCORE = Verb(
    name="score",
    task="fill-mask",
    about="""Tell how likely texts are to a masked language model, by their pseudo-log-likelihoods.

    The server makes a copy of a text for each of its tokens, so this costs as much as so many texts.
    """,
    arguments=TEXTS,
    keywords=ScoreOptions,
    outputs=lambda given: ("mask_count", "pseudo_log_likelihood"),
    decode=_decode,
    always={"score_texts": True},
    copied=True,
)
