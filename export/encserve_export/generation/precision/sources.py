"""The texts on which the graphs of a pipeline that generates are looked at, as its tokenizer and prompts make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.texts.rows import Tokens

Source = NDArray[np.int64]
"""The token ids (s,) of a text."""


def sources_of(checkpoint: Checkpoint, prompts: Mapping[str, str], texts: Sequence[str]) -> list[Source]:
    """Each text behind one of the prompts in turn, or behind none, cut to what the network takes; those of no tokens
    are left out."""
    before = ["", *(prompt for _, prompt in sorted(prompts.items()))]
    prompted = [before[index % len(before)] + text for index, text in enumerate(texts)]
    encoded = checkpoint.tokenizer(prompted, max_length=checkpoint.max_length, truncation=True, padding=False)
    return [np.array(ids, np.int64) for ids in encoded["input_ids"] if ids]


def rows_of_sources(sources: Sequence[Source]) -> list[Tokens]:
    """The same as rows of calibration."""
    return [(ids.tolist(), None) for ids in sources]
