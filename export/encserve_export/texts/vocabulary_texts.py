"""Texts of tokens drawn from a tokenizer's whole vocabulary, whatever its languages are."""

from __future__ import annotations

import random

from tokenizers import Tokenizer


def vocabulary_texts(count: int, *, tokenizer: Tokenizer) -> list[str]:
    """`count` texts of 4 to 60 tokens.

    They make no sense, and reach what a corpus does not: the columns of a network in which a rare token is large.
    """
    rng = random.Random(3)
    size = tokenizer.get_vocab_size()
    return [tokenizer.decode([rng.randrange(size) for _ in range(rng.randint(4, 60))]) for _ in range(count)]
