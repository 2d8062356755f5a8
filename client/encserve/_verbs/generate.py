"""`generate`: texts to new texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np

from encserve._results import Generations
from encserve._verbs.answers import AnswerReader
from encserve._verbs.options import CallOptions, PromptOption, TruncateOption
from encserve._verbs.verb import TEXTS, Verb

EarlyStopping = Literal["true", "false", "never"]


class GenerateOptions(TruncateOption, PromptOption, CallOptions, total=False):
    """The keywords of `generate`."""

    source_language: str | None
    """The language of the texts, for checkpoints with languages, as their tokenizer writes it, such as "deu_Latn" or
    "de_DE"; that of the tokenizer without it."""
    target_language: str | None
    """The language of the new texts, likewise, with whose token they begin; without it as the checkpoint says."""
    max_new_tokens: int | None
    """The most tokens that are made of a text; without it as many as the checkpoint says."""
    min_new_tokens: Annotated[int | None, 0]
    """How many tokens come at least before the text may end; without it as many as the checkpoint says, and no more
    than `max_new_tokens`."""
    num_beams: int | None
    """How many hypotheses are followed for each text, of which the best becomes the answer; 1 takes one token after
    the other. Without it as many as the checkpoint says. Streams, `stop` and `do_sample` are refused with more than
    1."""
    length_penalty: float | None
    """With beams, by which power of its number of tokens the score of a hypothesis is divided: above 0 it favours
    long ones. Above -10, 10 at most."""
    early_stopping: EarlyStopping | None
    """With beams, when a text has ended; each value is a text, not a boolean: "true" as soon as there are `num_beams`
    whole hypotheses; "false" when those that go on are unlikely to be better, and "never" when they cannot be."""
    repetition_penalty: float | None
    """Above 1 it makes tokens less likely that the text has already; 1 changes nothing."""
    no_repeat_ngram_size: Annotated[int | None, 0]
    """So many tokens in a row come only once in a text; 0 lets them."""
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
