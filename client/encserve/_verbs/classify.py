"""`classify`: texts, or pairs of texts, to labels."""

from __future__ import annotations

import numpy as np

from encserve._results import Classifications
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import CallOptions, TextAdapterOption, TruncateOption, WindowOptions
from encserve._verbs.verb import TEXTS, Verb


class ClassifyOptions(TruncateOption, WindowOptions, TextAdapterOption, CallOptions, total=False):
    """The keywords of `classify`."""

    top_k: int | None
    """How many labels for each text; all without it."""
    probabilities: bool | None
    """Whether the probability of each label is wanted beside its score, of a pipeline that was exported with labelled
    texts; others refuse the option."""


def decode_classifications(answer: AnswerReader, columns: int) -> Classifications:
    """Labels and scores (n, columns)."""
    labels = answer.strings("label", (answer.rows, columns))
    calibrated = bool(answer.given.get("probabilities", answer.pipeline.option_defaults.get("probabilities")))
    scores = answer.array("score", np.float32, (answer.rows, columns * (2 if calibrated else 1)))
    return Classifications(
        labels=[tuple(row) for row in labels],
        scores=scores[:, :columns],
        probabilities=scores[:, columns:] if calibrated else None,
        decisions=answer.strings("decision", (answer.rows,)).tolist() if answer.pipeline.cascade else None,
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
    outputs_of=lambda pipeline: ("decision",) if pipeline.cascade else (),
    decode=lambda answer: decode_classifications(answer, answer.option("top_k", len(answer.pipeline.labels))),
)
