"""How long the texts are that a pipeline makes: as long as they become, or of lengths that are stated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from encserve import InvalidInput
from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.traffic.corpus import Lengths, read_corpus

MEASURED_TEXTS = 2_000
"""Texts of a sample whose tokens the model counts."""


def made_lengths(name: str, *, rng: np.random.Generator, count: Callable[[list[str]], Lengths]) -> Lengths:
    """The lengths of new texts in tokens, (n,), to draw from.

    Args:
        name: a number of tokens, the name of a built-in distribution, FILE.csv of tokens,count, or FILE.jsonl of texts
            such as the pipeline makes.
        rng: draws.
        count: lets the model count the tokens of texts.

    Raises:
        InvalidPlan: it is none of these, or malformed.
    """
    if name.isdigit():
        if int(name) < 1:
            raise InvalidPlan(f"the new texts have {name} tokens, 1 is the least")
        return np.array([int(name)], np.int64)
    sample = read_corpus(name, rng=rng)
    if sample.lengths is not None:
        return sample.lengths
    texts = [sample.texts[index] for index in rng.permutation(len(sample.texts))[:MEASURED_TEXTS]]
    return np.maximum(count(texts), 1)


def options_of(length: int) -> dict[str, Any]:
    """The options of the verb `generate` with which a text gets so many tokens."""
    return {"max_new_tokens": length, "min_new_tokens": length}


def check_most(lengths: Lengths, ask: Callable[[int], Any]) -> None:
    """Ask for a text of the greatest length, so that a plan does not find that out in its first window.

    Raises:
        InvalidPlan: the pipeline makes none of that length.
    """
    longest = int(lengths.max())
    try:
        ask(longest)
    except InvalidInput as error:
        raise InvalidPlan(f"no new text of {longest} tokens can be asked for: {error}") from error
