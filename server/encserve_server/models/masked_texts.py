"""The layout of fill-mask: one row for each text, and where its masks are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from .kept_tokens import Tokens
from .options import InvalidArgument, Options
from .single_texts import Layout as SingleTexts


class Layout:
    """Texts with at least one mask each."""

    INPUTS = ("text",)
    TRACKS_OFFSETS = False

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self._texts = SingleTexts(tokenizer, settings)
        self._mask_token: str = settings["mask_token"]
        self._mask_id: int = settings["mask_id"]

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """The texts to tokenize. Raises InvalidArgument."""
        return self._texts.read(inputs, options, whole=True)

    def rooms(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """All tokens are needed: no mask may be lost."""
        return [None]

    def lay(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """As for single texts, with `mask_at` (M,), the tokens of all texts that are masks, and `mask_count` (n,).

        Raises:
            InvalidArgument: a text has no mask, or lost one because it was too long.
        """
        (own,) = encodings
        cuts = self._texts.cut(own, options)
        counts = []
        for index, (encoding, (cut,)) in enumerate(zip(own, cuts, strict=True)):
            before, after = encoding.ids.count(self._mask_id), encoding.ids[cut.begin : cut.end].count(self._mask_id)
            if not before:
                raise InvalidArgument(f"text {index} has no {self._mask_token}; at least one is expected")
            if after < before:
                raise InvalidArgument(
                    f"text {index} is cut to max_length {self._texts.limits.max_length}, and {before - after} of its "
                    f"{before} {self._mask_token} with it"
                )
            counts.append(before)
        tensors = self._texts.lay_cut(own, cuts)
        return {
            **tensors,
            "mask_at": np.flatnonzero(tensors["input_ids"] == self._mask_id),
            "mask_count": np.array(counts, np.int32),
        }
