"""The tokenize step without Triton: the texts of several requests to each request's tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import chain, islice
from typing import Any, Protocol

from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from .options import InvalidArgument, Options


class Layout(Protocol):
    """How the texts of a task become rows of a pack. Each layout is a module with a class of this name."""

    INPUTS: tuple[str, ...]
    """The BYTES inputs of a request."""
    TRACKS_OFFSETS: bool
    """Whether encodings must know where in the text each token stands."""

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """The texts of a request to tokenize, in groups. Raises InvalidArgument."""

    def lay(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Encoding]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """The tensors of a request, without the leading dimension, from its encodings without special tokens.

        Raises InvalidArgument.
        """


class Tokenization:
    """A tokenizer with the layout of its task."""

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._layout: Layout = import_module(f".{settings['layout']}", __package__).Layout(tokenizer, settings)
        self.inputs = self._layout.INPUTS

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Check the texts of a request as they came over the wire. Raises InvalidArgument."""
        return self._layout.read(inputs, options)

    def tokenize(
        self, requests: Sequence[tuple[list[list[str]], Options]]
    ) -> list[dict[str, NDArray[Any]] | InvalidArgument]:
        """The tensors of each request that was read, or why it cannot have any; all texts are tokenized in one call."""
        encode = self._tokenizer.encode_batch if self._layout.TRACKS_OFFSETS else self._tokenizer.encode_batch_fast
        texts = [text for groups, _ in requests for text in chain.from_iterable(groups)]
        encodings = iter(encode(texts, add_special_tokens=False))
        answers: list[dict[str, NDArray[Any]] | InvalidArgument] = []
        for groups, options in requests:
            own = [list(islice(encodings, len(group))) for group in groups]
            try:
                answers.append(self._layout.lay(groups, own, options))
            except InvalidArgument as error:
                answers.append(error)
        return answers
