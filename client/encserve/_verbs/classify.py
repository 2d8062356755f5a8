"""`classify`: texts, or pairs of texts, to labels."""

from __future__ import annotations

import numpy as np

from encserve._results import Classifications
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import CallOptions, TruncateOption, WindowOptions
from encserve._verbs.verb import TEXTS, Verb


class ClassifyOptions(TruncateOption, WindowOptions, CallOptions, total=False):
    """The keywords of `classify`."""

    top_k: int | None
    """How many labels for each text; all without it."""


def decode_classifications(answer: AnswerReader, columns: int) -> Classifications:
    """Labels and scores (n, columns)."""
    labels = answer.strings("label", (answer.rows, columns))
    return Classifications(
        labels=[tuple(row) for row in labels],
        scores=answer.array("score", np.float32, labels.shape),
        **answer.common(),
    )


CLASSIFY = Verb(
    name="classify",
    task="text-classification",
    about="""Give texts, or pairs of texts, the labels of the pipeline, highest score first.

    Scores are probabilities where the checkpoint says so, of one label for each text or of each label by itself; a
    regression gives its numbers. With `long_text="chunk"`, which is not for pairs, the logits of a text that is too
    long are the mean of those of its windows, weighted by their tokens.
    """,
    arguments={**TEXTS, "text_pairs": "The second text of each, for pipelines of pairs."},
    keywords=ClassifyOptions,
    outputs=lambda given: ("label", "score"),
    decode=lambda answer: decode_classifications(answer, answer.option("top_k", len(answer.pipeline.labels))),
)
