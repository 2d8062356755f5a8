"""The layout of tasks that give a text, and each of its tokens but the first, a vector: a row for each text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import InvalidArgument, Options
from ..kept_tokens import Tokens
from .layout import TextLayout
from .tagged_texts import Layout as TaggedTexts

CHOSEN = ("dense", "sparse", "tokens")
"""The flags of a request that say what it wants."""


class Layout(TextLayout):
    """Texts whose first token stands for the whole."""

    TRACKS_OFFSETS = True

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self._texts = TaggedTexts(tokenizer, settings)

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the texts to tokenize. Raises InvalidArgument, also where a request wants nothing of them."""
        if not any(options[name] for name in CHOSEN):
            raise InvalidArgument(f"none of {', '.join(CHOSEN)} is true; one at least must be")
        return self._texts.read(inputs, options)

    def kept_lengths(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """Return the lengths as for single texts."""
        return self._texts.kept_lengths(groups, options)

    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Return the rows of n texts as for tagged ones; of the V tokens that have a vector of their own, which are all
        but the first of each text, `vector_at` (V,), their places among all T, and `offsets` (V, 2), -1 at special
        tokens; and `vector_count` (n,).

        Raises InvalidArgument.
        """
        tensors = self._texts.packed_tensors(groups, encodings, options)
        lengths = tensors["lengths"]
        has_vector = np.ones(len(tensors["input_ids"]), np.bool_)
        has_vector[np.cumsum(lengths) - lengths] = False
        return tensors | {
            "vector_at": np.flatnonzero(has_vector).astype(np.int32),
            "vector_count": (lengths - 1).astype(np.int32),
            "offsets": tensors["offsets"][has_vector],
        }
