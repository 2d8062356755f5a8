"""The layout of question-answering: a question with its context, in overlapping windows where the context is long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import InvalidArgument, Options
from ..kept_tokens import Tokens
from ..limits import Limits
from ..rows.packed_rows import Row, check_tokens, pack
from ..rows.special_tokens import special_tokens_of_pair
from ..rows.windows import count_windows, windows_of
from .layout import TextLayout

_NOWHERE = -1


class Layout(TextLayout):
    """Questions and contexts; what a window repeats of the one before is an option."""

    INPUTS = ("text", "text_pair")
    TRACKS_OFFSETS = True

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self._limits = Limits.from_settings(settings)
        self._special = special_tokens_of_pair(tokenizer)
        self._token_types = "token_type_ids" in settings["tensors"]

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the texts to tokenize, in two groups: questions and contexts. Raises InvalidArgument."""
        questions = self._limits.decode(inputs["text"], whole=True)
        contexts = self._limits.decode(inputs["text_pair"], name="text_pair", whole=True)
        if len(questions) not in (1, len(contexts)):
            raise InvalidArgument(
                f"the request has {len(questions)} texts and {len(contexts)} text_pairs; expected are as many, or one "
                "text"
            )
        return [questions, contexts]

    def rows(self, groups: Sequence[Sequence[str]], options: Options) -> Iterator[tuple[str, ...]]:
        """Return the pairs."""
        first, second = groups
        return zip(list(first) * len(second) if len(first) == 1 else first, second, strict=True)

    def kept_lengths(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """Return None for both groups: all tokens are needed."""
        return [None, None]

    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Return the rows of the W windows of n contexts: `lengths` (W,), `window_count` (n,), and for the T tokens of
        all rows `offsets` and `word_offsets` (T, 2) into the context, -1 outside it.

        Raises:
            InvalidArgument: a context is empty, a question leaves no room, or the request has too many tokens.
        """
        questions, contexts = encodings
        if len(questions) == 1:
            questions = list(questions) * len(contexts)
        special = self._special
        rows: list[Row] = []
        counts, sizes, laid = [], [], 0
        offsets: list[NDArray[np.int32]] = []
        word_offsets: list[NDArray[np.int32]] = []
        for index, (question, context) in enumerate(zip(questions, contexts, strict=True)):
            if not len(context):
                raise InvalidArgument(f"text_pair {index} is empty; a context with at least one token is expected")
            asked, ids = question.ids, context.ids
            room = self._room(index, len(asked), len(ids), options["overlap"])
            count = count_windows(len(ids), room, options["overlap"])
            laid += len(ids) + count * (options["overlap"] + special.size + len(asked)) - options["overlap"]
            check_tokens(laid, self._limits)  # before windows are made that may repeat nearly all of one another
            ahead = np.full((len(special.before) + len(asked) + len(special.between), 2), _NOWHERE, np.int32)
            behind = np.full((len(special.after), 2), _NOWHERE, np.int32)
            places = np.array(context.offsets, np.int32)  # (t, 2)
            words = np.array([_NOWHERE if word is None else word for word in context.word_ids], np.int32)  # (t,)
            for begin, end in windows_of(len(ids), room, options["overlap"]):
                rows.append(Row(asked, ids[begin:end]))
                offsets += [ahead, places[begin:end], behind]
                word_offsets += [ahead, _of_words(places[begin:end], words[begin:end]), behind]
            counts.append(count)
            sizes.append(special.size + len(asked) + len(ids))
        return {
            **pack(rows, special, self._limits, token_types=self._token_types),
            "window_count": np.array(counts, np.int32),
            "offsets": np.concatenate(offsets),
            "word_offsets": np.concatenate(word_offsets),
            "token_count": np.array(sizes, np.int32),
            "dropped_count": np.zeros(len(sizes), np.int32),
        }

    def _room(self, index: int, asked: int, size: int, overlap: int) -> int:
        """Return the tokens of a context of `size` tokens that a window holds."""
        room = self._limits.max_length - self._special.size - asked
        if room < min(size, overlap + 1):
            raise InvalidArgument(
                f"text {index} has {asked} tokens and leaves {max(room, 0)} of max_length {self._limits.max_length} to "
                f"its context; more than overlap, {overlap}, is needed"
            )
        return room


def _of_words(places: NDArray[np.int32], words: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return, for each token of a window, (t, 2), where its word, as far as it is in the window, begins and ends."""
    aligned = places.copy()
    starts = np.flatnonzero(np.diff(words, prepend=words[0] - 1))
    for begin, end in zip(starts, [*starts[1:], len(words)], strict=True):
        if words[begin] != _NOWHERE:
            aligned[begin:end] = places[begin, 0], places[end - 1, 1]
    return aligned
