"""The layout of tasks about pairs of texts: one row for each pair. A text that many pairs share is tokenized once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from .frame import frame_of_pair
from .limits import Limits
from .options import InvalidArgument, Options
from .packed_rows import Row, cut_pair, pack


class Layout:
    """Pairs with the limits of their pipeline."""

    INPUTS = ("text", "text_pair")
    TRACKS_OFFSETS = False

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self.limits = Limits.from_settings(settings)
        self._frame = frame_of_pair(tokenizer)
        self._token_types = "token_type_ids" in settings["tensors"]

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """The texts to tokenize, in two groups: the first ones and the second ones. Raises InvalidArgument."""
        first = self.limits.decode(inputs["text"])
        second = self.limits.decode(inputs["text_pair"], name="text_pair")
        if len(first) not in (1, len(second)):
            raise InvalidArgument(
                f"the request has {len(first)} texts and {len(second)} text_pairs; expected are as many, or one text"
            )
        return [first, second]

    def lay(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Encoding]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Cut the pairs of one request to the length that the network takes, and lay them end to end.

        Raises:
            InvalidArgument: a pair is too long and may not be cut, or the request has too many tokens.
        """
        first, second = ([encoding.ids for encoding in group] for group in encodings)
        if len(first) == 1:
            first = first * len(second)
        return self.lay_pairs(list(zip(first, second, strict=True)), options)

    def lay_pairs(self, pairs: Sequence[tuple[list[int], list[int]]], options: Options) -> dict[str, NDArray[Any]]:
        """The tensors of pairs of token ids."""
        frame, limits, side = self._frame, self.limits, options["truncate"]
        room = limits.max_length - frame.size
        rows, dropped = [], []
        for index, (first, second) in enumerate(pairs):
            excess = len(first) + len(second) - room
            if excess > 0 and side == "error":
                raise InvalidArgument(
                    f"pair {index} has {room + excess + frame.size} tokens; max_length is {limits.max_length} and "
                    "truncate is 'error'"
                )
            one, other = cut_pair(len(first), len(second), room, side)
            rows.append(Row(first[one.begin : one.end], second[other.begin : other.end]))
            dropped.append(one.dropped + other.dropped)
        packed = pack(rows, frame, limits, token_types=self._token_types)
        return {
            **packed,
            "token_count": packed["lengths"].astype(np.int32),
            "dropped_count": np.array(dropped, np.int32),
            "window_count": np.ones(len(rows), np.int32),
        }
