"""The layout of tasks that answer for each token: a row for each text, and where in it each of its tokens stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import Options
from ..kept_tokens import Tokens
from .layout import TextLayout
from .single_texts import Layout as SingleTexts


class Layout(TextLayout):
    """Texts whose tokens keep their place."""

    TRACKS_OFFSETS = True

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self._texts = SingleTexts(tokenizer, settings)
        self._marks_subwords: bool = settings["marks_subwords"]
        self._unknown_id: int | None = settings["unknown_id"]

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the texts to tokenize. Raises InvalidArgument."""
        return self._texts.read(inputs, options)

    def prompts(self, options: Options, count: int) -> Sequence[str]:
        """Return what a request puts before each of its texts."""
        return self._texts.prompts(options, count)

    def kept_lengths(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """Return the lengths as for single texts."""
        return self._texts.kept_lengths(groups, options)

    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Return the rows as for single texts, with `offsets` (T, 2), -1 at special tokens, those of a prompt and where
        another window has the token; `continues` (T,), 1 where a token belongs to the word of the token before it; and
        `row_count` (n,), the rows of all windows of each text.

        Raises InvalidArgument.
        """
        (texts,), (own,) = groups, encodings
        cuts, prompts = self._texts.cut(own, options), self.prompts(options, len(texts))
        offsets, continues = [], []
        for prompt, text, encoding, windows in zip(prompts, texts, own, cuts, strict=True):
            places = _behind(len(prompt), np.array(encoding.offsets, np.int32).reshape(-1, 2))
            flags = np.fromiter(self._continues(text, encoding), np.int32, len(encoding))
            offsets.append(self._texts.spread(windows, places, -1))
            continues.append(self._texts.spread(windows, flags, 0))
        return {
            **self._texts.packed_cuts(own, cuts),
            "offsets": np.concatenate(offsets),
            "continues": np.concatenate(continues),
            "row_count": np.array([len(places) for places in offsets], np.int32),
        }

    def _continues(self, text: str, encoding: Tokens) -> Iterator[bool]:
        """Return whether each token continues a word, by the rule of transformers' pipeline, so that words are the
        same.

        A vocabulary that marks subwords makes them longer than the text they stand for. In others a token continues a
        word unless a space is before it. An unknown token is a word.
        """
        for id_, token, (start, end) in zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True):
            if id_ == self._unknown_id:
                yield False
            elif self._marks_subwords:
                yield len(token) != end - start
            else:
                yield start > 0 and " " not in text[start - 1 : start + 1]


def _behind(prompt: int, places: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return places (t, 2) in a text with a prompt of so many characters before it, counted without the prompt; -1
    within."""
    if not prompt:
        return places
    return np.where(places[:, 1:] > prompt, np.maximum(places - prompt, 0), -1).astype(np.int32)
