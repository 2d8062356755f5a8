"""The layout of GLiNER2: one row for each text, the labels before its words in the library's own brackets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import InvalidArgument, Options
from ..kept_tokens import Tokens
from ..parts.gliner2_words import words_of
from ..rows.special_tokens import SpecialTokens
from .labelled_words import Layout as LabelledWords
from .labelled_words import Word, Words

GATE = 3
"""The role of the token whose vector says whether there is anything of the labels in the text."""
_STOP, _ENDS = ".", (".", "!", "?")
_NONE = SpecialTokens((), (), (), (), 0, (), 0, ())


class Layout(LabelledWords):
    """Texts in words of lower case, behind `( [P] entities ( [E] label ... ) ) [SEP_TEXT]`, with no special tokens
    around. What labels mean, where a request says it, stands behind the word `entities`. Where a text ends with none of
    `.!?` and there is room behind its last word, the network reads a full stop there, which stands nowhere in the text:
    none of its words gives way to it, and it is not counted as one of them."""

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        super().__init__(tokenizer, settings)
        stated = settings["entities"]
        self._special = _NONE
        self._opening: list[int] = stated["opening"]
        self._opening_roles: list[int] = stated["opening_roles"]
        self._between: list[int] = stated["between"]
        self._reserved = frozenset[int](stated["reserved"])
        self._stop: list[int] = tokenizer.encode(_STOP, add_special_tokens=False).ids

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the labels with what is said of all of them behind, and the texts. Raises InvalidArgument."""
        labels, texts = super().read(inputs, options)
        descriptions = options["descriptions"]
        if descriptions is not None and len(descriptions) != len(labels):
            raise InvalidArgument(
                f"the request has {len(descriptions)} descriptions and {len(labels)} labels; one of each label is "
                "expected"
            )
        return [[*labels, about(labels, descriptions)], texts]

    def split(self, groups: Sequence[Sequence[str]], options: Options) -> list[list[str]]:
        """Return what to tokenize: the labels, what is said of them, and then the words of each text in a group of its
        own."""
        split = super().split(groups, options)
        for text, words in zip(groups[1], split[1:], strict=True):
            assert isinstance(words, Words)
            of_last = bool(words) and words.end == len(text) and words[-1].endswith(_STOP)
            if ended(text) != text and not of_last:
                words.closing = self._stop
        return split

    def words_of(self, text: str) -> Iterator[Word]:
        """Return the words of a text, in lower case. A full stop that it gets is none, but of a link at its end, as the
        library reads it, it is the last sign."""
        for word, begin, end in words_of(ended(text)):
            if begin < len(text):
                yield word, begin, min(end, len(text))

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
    return text if text.endswith(_ENDS) else text + _STOP
