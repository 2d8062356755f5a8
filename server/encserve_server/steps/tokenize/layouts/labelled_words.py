"""The layout of entities of labels that a request brings: one row for each text, the labels before its words."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import InvalidArgument, Options
from ..kept_tokens import Tokens
from ..limits import Limits
from ..parts.words import words_of
from ..rows.packed_rows import Row, pack
from ..rows.special_tokens import special_tokens_of_text
from .layout import TextLayout

WORD, LABEL = 1, 2
"""What a token is to the network: the first of a word, or the marker of a label; others are 0."""
Word: TypeAlias = tuple[str, int, int]
"""A word, and where it begins and ends in its text."""
_COUNTED_WORDS = 4_096
"""So many words that the network does not see are tokenized at once, to be counted: a text may have 131,072."""


class Words(list[str]):
    """The words of one text that may be kept, at most so many of its first, or of its last."""

    def __init__(self, text: str, words: Iterator[Word], most: int, *, from_end: bool) -> None:
        found = [*deque(words, most)] if from_end else [*islice(words, most)]
        super().__init__(word for word, _, _ in found)
        self.places = [(begin, end) for _, begin, end in found]
        """Where each begins and ends in the text."""
        self.rest = ""
        """The part of the text that has the other words."""
        if found:
            self.rest = text[: self.places[0][0]] if from_end else text[self.places[-1][1] :]
        self.closing: list[int] = []
        """The tokens of a word that is none of the text. The network reads it behind the last one of the text, where it
        sees that one and there is room."""

    @property
    def end(self) -> int:
        """Where the last of them ends in the text."""
        return self.places[-1][1] if self.places else 0


class Layout(TextLayout):
    """Texts in words, of which each is tokenized by itself, as the library does it. Of a text with more words than the
    network sees, the others are only counted, some at a time."""

    NAMES = ("label",)
    LABELS = 1

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self._tokenizer = tokenizer
        self._limits = Limits.from_settings(settings)
        self._special = special_tokens_of_text(tokenizer)
        stated = settings["entities"]
        self._marker: list[int] = stated["marker"]
        self._separator: list[int] = stated["separator"]
        self._max_words: int = stated.get("max_words", self._limits.max_length)

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the labels, and the texts. Raises InvalidArgument."""
        return [list(options["labels"]), self._limits.decode(inputs["text"], whole=True)]

    def rows(self, groups: Sequence[Sequence[str]], options: Options) -> Iterator[tuple[str, ...]]:
        """Return each text with all labels."""
        labels, texts = groups
        return ((*labels, text) for text in texts)

    def split(self, groups: Sequence[Sequence[str]], options: Options) -> list[list[str]]:
        """Return what to tokenize: the labels, and then the words of each text in a group of its own."""
        labels, texts = groups
        from_end = options["truncate"] == "start"
        return [[*labels], *(Words(text, self.words_of(text), self._max_words, from_end=from_end) for text in texts)]

    def words_of(self, text: str) -> Iterator[Word]:
        """Return the words of a text."""
        return words_of(text)

    def kept_lengths(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """Return None for all: labels and words are read whole."""
        return [None] * len(groups)

    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Return the rows of all n texts, with `entity_roles` (T,), what each token is; `word_count` (n,), the words
        of each text that the network sees, and `word_offsets` (W, 2), where those of all texts stand. A word of which
        the tokenizer makes no token is none.

        Raises:
            InvalidArgument: the labels leave no room for a text, one of them or a word is a marker of labels, a text is
                too long and may not be cut, or the request has too many tokens.
        """
        labels, *texts = encodings
        prompt, roles = self._prompt(labels)
        rows, counts, dropped, offsets = [], [], [], []
        room = self._limits.max_length - self._special.size - len(prompt)
        if room < 1:
            raise InvalidArgument(
                f"the {len(options['labels'])} labels have {len(prompt)} tokens with their markers, which leaves no "
                f"room for a text: max_length is {self._limits.max_length}"
            )
        before, after = [0] * len(self._special.before), [0] * len(self._special.after)
        for index, (words, own) in enumerate(zip(groups[1:], texts, strict=True)):
            assert isinstance(words, Words)
            kept, (other_words, other_tokens) = self._kept(own, room, options["truncate"]), self._count(words.rest)
            ids, all_tokens = [own[word].ids for word in kept], sum(map(len, own)) + other_tokens
            seen = sum(map(len, ids))
            if seen < all_tokens and options["truncate"] == "error":
                size = all_tokens + len(prompt) + self._special.size
                raise InvalidArgument(
                    f"text {index} has {len(words) + other_words} words, and {size} tokens with its labels; "
                    f"{self._max_words} words and max_length {self._limits.max_length} are the most, and truncate is "
                    "'error'"
                )
            if any(self._marker[0] in word for word in ids):
                raise InvalidArgument(f"text {index} has a word that is the marker of labels")
            offsets += [words.places[word] for word in kept]
            dropped.append(all_tokens - seen)
            sees_end = seen == all_tokens or (options["truncate"] == "start" and bool(kept))
            if words.closing and sees_end and seen + len(words.closing) <= room:
                ids.append(words.closing)
                offsets.append((words.end, words.end))
            rows.append(Row([*prompt, *chain.from_iterable(ids)]))
            roles_of_words = [role for word in ids for role in (WORD, *[0] * (len(word) - 1))]
            counts.append(([*before, *roles, *roles_of_words, *after], len(ids)))
        packed = pack(rows, self._special, self._limits, token_types=False)
        return {
            **packed,
            "entity_roles": np.array([role for of_row, _ in counts for role in of_row], np.int64),
            "word_count": np.array([count for _, count in counts], np.int32),
            "word_offsets": np.array(offsets, np.int32).reshape(-1, 2),
            "token_count": packed["lengths"].astype(np.int32),
            "dropped_count": np.array(dropped, np.int32),
        }

    def _prompt(self, labels: Sequence[Tokens]) -> tuple[list[int], list[int]]:
        """Return the tokens before the words of each text, and what they are. Raises InvalidArgument."""
        prompt, roles = [], []
        for index, label in enumerate(labels):
            ids = label.ids
            if self._marker[0] in ids:
                raise InvalidArgument(f"label {index} has the marker of labels in it, which stands before each of them")
            prompt += [*self._marker, *ids]
            roles += [LABEL, *[0] * len(ids)]
        return prompt + self._separator, roles + [0] * len(self._separator)

    def _count(self, text: str) -> tuple[int, int]:
        """Return how many words a text has, and how many tokens those have."""
        found, words, tokens = self.words_of(text), 0, 0
        while counts := Counter(word for word, _, _ in islice(found, _COUNTED_WORDS)):
            encodings = self._tokenizer.encode_batch_fast([*counts], add_special_tokens=False)
            words += counts.total()
            tokens += sum(len(own) * count for own, count in zip(encodings, counts.values(), strict=True))
        return words, tokens

    def _kept(self, words: Sequence[Tokens], room: int, truncate: str) -> list[int]:
        """Return which of the words that may be kept the network sees: those with tokens, from the first on, or where a
        text is cut at its "start" from the last, as many as there is room for."""
        kept: list[int] = []
        places = range(len(words))
        for index in reversed(places) if truncate == "start" else places:
            room -= len(words[index])
            if room < 0:
                break
            if len(words[index]):
                kept.append(index)
        return sorted(kept)
