"""`answer`: the spans of a context that answer a question."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from encserve._results import Answers, Span
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import AdapterOption, CallOptions
from encserve._verbs.verb import TEXTS, Verb


class AnswerOptions(AdapterOption, CallOptions, total=False):
    """The keywords of `answer`."""

    top_k: int | None
    """How many spans the answer holds, at most 100; one without it."""
    max_answer_length: int | None
    """Tokens of the longest span; 15 without it."""
    overlap: Annotated[int | None, 0]
    """Tokens that two neighbouring windows of a long context share; 128, at most half, without it."""
    no_answer: bool | None
    """Whether "no answer", an empty span, competes with the others; not without it."""


def _decode(answer: AnswerReader) -> Answers:
    shape = (answer.rows, answer.option("top_k", 1))
    rows = zip(
        answer.strings("answer", shape),
        answer.array("score", np.float32, shape).tolist(),
        answer.array("start", np.int32, shape).tolist(),
        answer.array("end", np.int32, shape).tolist(),
        strict=True,
    )
    return Answers(
        # A context with fewer spans than were asked for has places that begin at -1.
        spans=[[Span(*span) for span in zip(*row, strict=True) if span[2] >= 0] for row in rows],
        no_answer_scores=answer.array("no_answer_score", np.float32, (answer.rows,)),
        **answer.common(),
    )


ANSWER = Verb(
    name="answer",
    task="question-answering",
    about="""Find the spans of a context that answer a question, best first, with their places as Python indices.

    A context that is too long for the model is read in overlapping windows.
    """,
    arguments={"question": "One text.", "context": "The text that may hold the answer.", "model": TEXTS["model"]},
    keywords=AnswerOptions,
    outputs=lambda given: ("answer", "score", "start", "end", "no_answer_score", "window_count"),
    decode=_decode,
    split="context",
    shared="question",
)
