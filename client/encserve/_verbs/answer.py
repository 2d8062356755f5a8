"""`answer`: the spans of a context that answer a question."""

from collections.abc import Mapping

import numpy as np

from encserve._call import Verb
from encserve._messages import Parameter
from encserve._pipeline import PipelineInfo
from encserve._protocol import AnswerReader, flag, given, nothing, positive
from encserve._results import Answers, Span


def answer_options(
    *, top_k: int | None, max_answer_length: int | None, overlap: int | None, no_answer: bool | None
) -> dict[str, Parameter]:
    """The request parameters. Raises InvalidInput."""
    return given(
        {
            "top_k": positive("top_k", top_k),
            "max_answer_length": positive("max_answer_length", max_answer_length),
            "overlap": overlap if overlap == 0 else positive("overlap", overlap),
            "no_answer": flag("no_answer", no_answer),
        }
    )


def _decode(answer: AnswerReader) -> Answers:
    count = int(answer.options.get("top_k") or answer.pipeline.option_defaults.get("top_k") or 1)
    shape = (answer.rows, count)
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


def _nothing(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> Answers:
    return Answers(spans=[], no_answer_scores=np.empty(0, np.float32), **nothing(pipeline))


ANSWER = Verb(
    name="answer",
    task="question-answering",
    outputs=("answer", "score", "start", "end", "no_answer_score", "window_count"),
    decode=_decode,
    nothing=_nothing,
    split="context",
    shared="question",
)
