"""The layout of GLiNER2: one row for each text, the labels before its words in the library's own brackets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import InvalidArgument, Options
from ..kept_tokens import Tokens
from .gliner2_words import words_of
from .labelled_words import Layout as LabelledWords
from .labelled_words import Word, Words
from .special_tokens import SpecialTokens

GATE = 3
"""The role of the token whose vector says whether there is anything of the labels in the text."""
_ENDS = (".", "!", "?")
_NONE = SpecialTokens((), (), (), (), 0, (), 0, ())


class Layout(LabelledWords):
    """Texts in words of lower case, behind `( [P] entities ( [E] label ... ) ) [SEP_TEXT]`, with no special tokens
    around. What labels mean, where a request says it, stands behind the word `entities`. A text that ends with none of
    `.!?` gets a full stop, which is a word of the network that stands nowhere in the text."""

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        super().__init__(tokenizer, settings)
        stated = settings["entities"]
        self._special = _NONE
        self._opening: list[int] = stated["opening"]
        self._opening_roles: list[int] = stated["opening_roles"]
        self._between: list[int] = stated["between"]
        self._reserved = frozenset[int](stated["reserved"])

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the labels with what is said of all of them behind, and the texts. Raises InvalidArgument."""
        labels, texts = super().read(inputs, options)
        descriptions = options["descriptions"]
        if descriptions is not None and (len(descriptions) != len(labels) or "" in descriptions):
            raise InvalidArgument(
                f"the request has {sum(map(bool, descriptions))} descriptions and {len(labels)} labels; one of each "
                "label is expected"
            )
        return [[*labels, about(labels, descriptions)], texts]

    def split(self, groups: Sequence[Sequence[str]], options: Options) -> list[list[str]]:
        """Return what to tokenize: the labels, what is said of them, and then the words of each text in a group of its
        own."""
        labels, texts = groups
        split = super().split([labels, [*map(ended, texts)]], options)
        for text, words in zip(texts, split[1:], strict=True):
            assert isinstance(words, Words)
            words.places = [*_within(words.places, len(text))]
        return split

    def words_of(self, text: str) -> Iterator[Word]:
        """Return the words of a text, in lower case."""
        return words_of(text)

    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """As the base. Raises InvalidArgument, too, where a label or its description has one of the library's tokens in
        it."""
        *labels, said = encodings[0]
        for index, label in enumerate(labels):
            if not self._reserved.isdisjoint(label.ids):
                raise InvalidArgument(f"label {index} has a token in it that stands around labels")
        if sum(id_ in self._reserved for id_ in said.ids) > len(options["descriptions"] or ()):
            raise InvalidArgument("a description has a token in it that stands around labels")
        return super().packed_tensors(groups, encodings, options)

    def _prompt(self, labels: Sequence[Tokens]) -> tuple[list[int], list[int]]:
        *labels, said = labels
        prompt, roles = super()._prompt(labels)
        inner = [*said.ids, *self._between]
        return self._opening + inner + prompt, self._opening_roles + [0] * len(inner) + roles


def about(labels: Sequence[str], descriptions: Sequence[str] | None = None) -> str:
    """Return what is said of all labels, as the library writes it."""
    said = zip(labels, descriptions, strict=True) if descriptions else ()
    return "entities" + "".join(f" [DESCRIPTION] {label}: {text}" for label, text in said)


def ended(text: str) -> str:
    """Return a text with a full stop behind it where it ends with none of `.!?`, as the library reads it."""
    return text if text.endswith(_ENDS) else f"{text}."


def _within(places: Sequence[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """Return the places of words within a text of `size` signs. That of the full stop behind it is empty, at the end of
    the word before."""
    last = 0
    for begin, end in places:
        yield (begin, min(end, size)) if begin < size else (last, last)
        last = end
