"""The layout of tasks about pairs of texts: one row for each pair. A text that many pairs share is tokenized once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import InvalidArgument, Options
from ..kept_tokens import Tokens
from ..limits import Limits
from ..rows.packed_rows import Row, check_some_tokens, cut_pair, pack
from ..rows.special_tokens import special_tokens_of_pair
from .layout import TextLayout


class Layout(TextLayout):
    """Pairs with the limits and prompts of their pipeline."""

    INPUTS = ("text", "text_pair")

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self.limits = Limits.from_settings(settings)
        self._prompts = dict(settings.get("prompts", {}))
        self._special = special_tokens_of_pair(tokenizer)
        self._token_types = "token_type_ids" in settings["tensors"]

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the texts to tokenize, in two groups: the first ones, with the prompt of the request before each, and
        the second ones. Raises InvalidArgument."""
        first = self.limits.decode(inputs["text"], whole=True)
        second = self.limits.decode(inputs["text_pair"], name="text_pair")
        if len(first) not in (1, len(second)):
            raise InvalidArgument(
                f"the request has {len(first)} texts and {len(second)} text_pairs; expected are as many, or one text"
            )
        prompt = self._prompts[options["prompt_name"]] if options.get("prompt_name") else ""
        return [[prompt + text for text in first] if prompt else first, second]

    def rows(self, groups: Sequence[Sequence[str]], options: Options) -> Iterator[tuple[str, ...]]:
        """Return the pairs."""
        first, second = groups
        return zip(list(first) * len(second) if len(first) == 1 else first, second, strict=True)

    def kept_lengths(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """Return, for each group, the tokens of a text that truncation can keep; all of the first texts are needed."""
        room = self.limits.max_length - self._special.size
        return [None, max(room, *map(len, groups[0]))]  # which of two long texts is longer decides on an odd token

    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Return the rows of the pairs of one request, cut to the length that the network takes, and laid end to end.

        Raises:
            InvalidArgument: a pair has no tokens, or too many and may not be cut; or the request has too many.
        """
        first, second = encodings
        if len(first) == 1:
            first = list(first) * len(second)
        special, limits, side = self._special, self.limits, options["truncate"]
        room = limits.max_length - special.size
        rows, dropped = [], []
        for index, (text, pair) in enumerate(zip(first, second, strict=True)):
            check_some_tokens(len(text) + len(pair) + special.size, f"pair {index}")
            excess = len(text) + len(pair) - room
            if excess > 0 and side == "error":
                raise InvalidArgument(
                    f"pair {index} has {pair.count(len(text) + special.size)} tokens; max_length is "
                    f"{limits.max_length} and truncate is 'error'"
                )
            if not pair.whole and room < len(text) > len(pair):
                raise InvalidArgument(
                    f"text {index} has {len(text)} tokens and text_pair {index} perhaps more; max_length is "
                    f"{limits.max_length}, and of two such texts it is not known which is longer"
                )
            one, other = cut_pair(len(text), len(pair), room, side)
            rows.append(Row(text.ids[one.begin : one.end], pair.ids[other.begin : other.end]))
            dropped.append(one.dropped + other.dropped)
        packed = pack(rows, special, limits, token_types=self._token_types)
        return {
            **packed,
            "token_count": packed["lengths"].astype(np.int32),
            "dropped_count": np.array(dropped, np.int32),
            "window_count": np.ones(len(rows), np.int32),
        }
