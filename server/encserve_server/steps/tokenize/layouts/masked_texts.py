"""The layout of fill-mask: one row for each text, and where its masks are; or, of a text that is to be scored, a copy
for each of its tokens, with that token masked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import InvalidArgument, Options
from ..kept_tokens import Tokens
from ..limits import estimated_tokens
from ..rows.packed_rows import Cut, Row
from .layout import TextLayout
from .single_texts import Layout as SingleTexts

NO_TARGET = -1
"""The target of a mask whose own token is not known."""


class Layout(TextLayout):
    """Texts with at least one mask each, or texts without any that are to be scored."""

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self._texts = SingleTexts(tokenizer, settings)
        self._mask_token: str = settings["mask_token"]
        self._mask_id: int = settings["mask_id"]

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the texts to tokenize. Raises InvalidArgument."""
        return self._texts.read(inputs, options, whole=True)

    def rows(self, groups: Sequence[Sequence[str]], options: Options) -> Iterator[tuple[str, ...]]:
        """Return each text, or as many copies as it may have tokens, and no more than a request may have."""
        (texts,) = groups
        scored: bool = options["score_texts"]
        rows = ((text,) for text in texts for _ in range(estimated_tokens(text) if scored else 1))
        return islice(rows, self._texts.limits.max_texts_per_request)

    def kept_lengths(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """Return None for the texts: all tokens are needed, since no mask may be lost."""
        return [None]

    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Return the rows as for single texts, with `target_id` (M,), the token that each mask hides, and `mask_count`
        (n,).

        Raises:
            InvalidArgument: a text has no mask, or lost one because it was too long; or one that is to be scored has
                a mask, or too many tokens.
        """
        (own,) = encodings
        cuts = self._texts.cut(own, options)
        return self._scored(own, cuts) if options["score_texts"] else self._masked(own, cuts)

    def _masked(self, own: Sequence[Tokens], cuts: Sequence[Sequence[Cut]]) -> dict[str, NDArray[Any]]:
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
        tensors = self._texts.packed_cuts(own, cuts)
        return {
            **tensors,
            "mask_count": np.array(counts, np.int32),
            "target_id": np.full(sum(counts), NO_TARGET, np.int32),
        }

    def _scored(self, own: Sequence[Tokens], cuts: Sequence[Sequence[Cut]]) -> dict[str, NDArray[Any]]:
        """Return the copies of all texts. A text of no tokens has one too, of a mask that hides nothing, because a
        request has a row at least; its `mask_count` is 0."""
        texts = []
        for index, (encoding, (cut,)) in enumerate(zip(own, cuts, strict=True)):
            ids = encoding.ids[cut.begin : cut.end]
            if self._mask_id in ids:
                raise InvalidArgument(
                    f"text {index} has a {self._mask_token}; a text without is expected where score_texts is true"
                )
            texts.append(ids)
        copies = sum(max(len(ids), 1) for ids in texts)
        self._texts.limits.check_count(copies, "tokens to score, each in a copy of its text that counts as a text")
        rows = [
            Row([*ids[:place], self._mask_id, *ids[place + 1 :]]) for ids in texts for place in range(max(len(ids), 1))
        ]
        packed = self._texts.pack(rows)
        around = int(packed["lengths"][0]) - len(rows[0].first)
        return {
            **packed,
            "token_count": np.array([around + len(ids) for ids in texts], np.int32),
            "dropped_count": np.array([cut.dropped for (cut,) in cuts], np.int32),
            "mask_count": np.array([len(ids) for ids in texts], np.int32),
            "target_id": np.array([id_ for ids in texts for id_ in ids or [NO_TARGET]], np.int32),
        }
