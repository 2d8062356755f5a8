"""`generate`: texts to new texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from encserve._results import Generations
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import CallOptions, PromptOption, TruncateOption
from encserve._verbs.verb import TEXTS, Verb


class GenerateOptions(TruncateOption, PromptOption, CallOptions, total=False):
    """The keywords of `generate`."""

    max_new_tokens: int | None
    """The most tokens that are made of a text; without it as many as the checkpoint says."""
    min_new_tokens: Annotated[int | None, 0]
    """How many tokens come at least before the text may end."""
    do_sample: bool | None
    """Whether tokens are drawn by their probabilities; without it the likeliest is taken, unless the checkpoint says
    otherwise."""
    temperature: float | None
    """By what the logits are divided before a token is drawn: less than 1 makes likely tokens likelier."""
    top_k: Annotated[int | None, 0]
    """From how many of the likeliest tokens one is drawn, 0 for all."""
    top_p: float | None
    """Only the likeliest tokens are drawn from that together have this probability."""
    seed: Annotated[int | None, 0]
    """What the tokens that are drawn depend on: the same seed gives the same text, alone or beside others."""
    stop: Sequence[str] | None
    """Strings at which a text ends, before the first of them that comes."""


TENSORS = ("text_output", "index", "finish", "output_token_count")


def _decode(answer: AnswerReader) -> Generations:
    rows = (answer.rows,)
    order = np.argsort(answer.array("index", np.int32, rows), kind="stable")
    return Generations(
        texts=answer.strings("text_output", rows)[order].tolist(),
        finishes=answer.strings("finish", rows)[order].tolist(),
        output_token_counts=answer.array("output_token_count", np.int32, rows)[order],
        **answer.common(),
    )


GENERATE = Verb(
    name="generate",
    task="text2text-generation",
    about="""Make new texts of texts, such as translations or summaries.

    `generate_stream` gives the text of one piece by piece, as it is made.
    """,
    arguments=TEXTS,
    keywords=GenerateOptions,
    decoupled=True,
    outputs=lambda given: TENSORS,
    decode=_decode,
)
