"""The tokenize step without Triton: from the texts of several requests to each request's tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from itertools import chain, islice, repeat
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from ..request.options import InvalidArgument, Options
from .adapter_ids import adapter_ids
from .kept_tokens import Tokens, Wanted, keep_tokens
from .layouts.layout import TextLayout
from .listed.pieces import ListedPieces
from .safe_cuts import safe_cuts_of, safe_cuts_of_pieces


class Tokenization:
    """A tokenizer with the layout of its task.

    Args:
        tokenizer: knows the special tokens around a text, and reads it.
        settings: of the step.
        pieces: read texts in place of the tokenizer, where theirs is a list of its own.
    """

    def __init__(
        self, tokenizer: Tokenizer, settings: Mapping[str, Any], *, pieces: ListedPieces | None = None
    ) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._pieces = pieces
        self._cuts = safe_cuts_of(tokenizer) if pieces is None else safe_cuts_of_pieces(pieces)
        self._layout: TextLayout = import_module(f".layouts.{settings['layout']}", __package__).Layout(
            tokenizer, settings
        )
        self._mask_id: int | None = settings.get("mask_id")
        """The token id of a mask, whose places are told; None where the network does not ask for them."""
        self._masks = [name for name in ("attention_mask", "pooling_mask") if name in settings["tensors"]]
        adapted = settings["options"]["adapter"]["allowed"] if "adapter_ids" in settings["tensors"] else []
        self._adapters: dict[str, int] = {name: number for number, name in enumerate(adapted)}
        self.inputs = self._layout.INPUTS

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the texts of a request, after checking them as they came over the wire. Raises InvalidArgument."""
        return self._layout.read(inputs, options)

    def texts(self, groups: list[list[str]]) -> list[list[str]]:
        """Return of what was read the groups of texts."""
        return groups[self._layout.LABELS : self._layout.READ]

    def rows(self, groups: list[list[str]], options: Options) -> list[tuple[str, ...]]:
        """Return of what was read the texts of each row that the network will see."""
        return [*self._layout.rows(groups, options)]

    def given_vectors(self, groups: list[list[str]], options: Options) -> int:
        """Return of what was read how many vectors were given in the place of texts."""
        return self._layout.given_vectors(groups, options)

    def tokenize(
        self, requests: Sequence[tuple[list[list[str]], Options]]
    ) -> list[dict[str, NDArray[Any]] | InvalidArgument]:
        """Return the tensors of each request that was read, or the error that refuses it; all texts are tokenized
        together."""
        requests = [(self._layout.split(groups, options), options) for groups, options in requests]
        wanted = [each for groups, options in requests for each in self._wanted(groups, options)]
        kept = iter(keep_tokens(wanted, self._encode, self._cuts))
        answers: list[dict[str, NDArray[Any]] | InvalidArgument] = []
        for groups, options in requests:
            own = [list(islice(kept, len(group))) for group in groups[: self._layout.READ]]
            refused = next((each for group in own for each in group if isinstance(each, InvalidArgument)), None)
            if refused is not None:
                answers.append(refused)
                continue
            encodings = [[each for each in group if isinstance(each, Tokens)] for group in own]
            try:
                tensors = self._layout.packed_tensors(groups, encodings, options)
                for name in self._masks:
                    if name not in tensors:  # which another head asks for
                        tensors[name] = np.ones_like(tensors["input_ids"])
                if self._adapters:
                    tensors["adapter_ids"] = adapter_ids(options["adapter"], self._adapters, tensors)
                if self._mask_id is not None:
                    tensors["mask_at"] = np.flatnonzero(tensors["input_ids"] == self._mask_id)
                answers.append(tensors)
            except InvalidArgument as error:
                answers.append(error)
        return answers

    def _wanted(self, groups: Sequence[Sequence[str]], options: Options) -> Iterator[Wanted]:
        from_end = options.get("truncate") == "start"
        names = chain(self._layout.NAMES or self.inputs, repeat("text"))
        tokenized = groups[: self._layout.READ]
        for group, room, name in zip(tokenized, self._layout.kept_lengths(groups, options), names, strict=False):
            for index, text in enumerate(group):
                yield Wanted(text, room, from_end, f"{name} {index}")

    def _encode(self, texts: list[str]) -> Sequence[Encoding]:
        if self._pieces is not None:
            # They have no offsets, for which no layout of texts that are generated asks.
            return cast("Sequence[Encoding]", self._pieces.encode(texts))
        encode = self._tokenizer.encode_batch if self._layout.TRACKS_OFFSETS else self._tokenizer.encode_batch_fast
        encodings: Sequence[Encoding] = encode(texts, add_special_tokens=False)
        return encodings
