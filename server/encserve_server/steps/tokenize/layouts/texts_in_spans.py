"""The layout of token vectors that may become vectors of spans: a row for each text, and which of its tokens each span
has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import InvalidArgument, Options
from ..kept_tokens import Tokens
from .sentences import sentences_of
from .tagged_texts import Layout as TaggedTexts


class Span(NamedTuple):
    """A part of a text, and the tokens that its vector is of."""

    begin: int
    """Its first character."""
    end: int
    """The one behind its last."""
    first: int
    """The place of its first token among those of the text that the network saw and that stand in it."""
    last: int
    """The place behind its last token."""


class Layout:
    """Texts whose tokens keep their place, with the spans that a request names or asks for."""

    INPUTS = ("text",)
    TRACKS_OFFSETS = True

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self._texts = TaggedTexts(tokenizer, settings)

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the texts to tokenize.

        Raises InvalidArgument, also for spans that are not one list for each text, or that are asked for in two ways.
        """
        spans = options["spans"]
        if spans is not None:
            if options["span_by"] is not None:
                raise InvalidArgument("the options spans and span_by are given; one of them says what the spans are")
            if len(spans) != len(inputs["text"]):
                raise InvalidArgument(
                    f"option spans has {len(spans)} lists; the request has {len(inputs['text'])} texts, and one for "
                    "each is expected"
                )
        return self._texts.read(inputs, options)

    def kept_lengths(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """Return the lengths as for single texts."""
        return self._texts.kept_lengths(groups, options)

    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Return the rows as for tagged texts; of the C spans of n texts `span_at` (C, 2), which tokens of all T each
        has, `span_offsets` (C, 2), where it stands in its text, and `span_count` (n,), how many each text has. Without
        spans C is 0.

        Raises InvalidArgument, also for a span that has no token.
        """
        tensors = self._texts.packed_tensors(groups, encodings, options)
        prompts = self._texts.prompts(options, len(groups[0]))
        lengths = tensors["lengths"]
        begins = (np.cumsum(lengths) - lengths).tolist()
        at, offsets, counts = [], [], []
        for index, (prompt, text) in enumerate(zip(prompts, groups[0], strict=True)):
            begin, end = begins[index], begins[index] + int(lengths[index])
            places = tensors["offsets"][begin:end]
            own = list(_spans_of(index, text[len(prompt) :], places, options))
            before = begin + int(np.argmax(places[:, 1] >= 0)) if own else begin
            at += [(before + span.first, before + span.last) for span in own]
            offsets += [(span.begin, span.end) for span in own]
            counts.append(len(own))
        return tensors | {
            "span_at": np.array(at, np.int32).reshape(-1, 2),
            "span_offsets": np.array(offsets, np.int32).reshape(-1, 2),
            "span_count": np.array(counts, np.int32),
        }


def _spans_of(index: int, text: str, places: NDArray[np.int32], options: Options) -> Iterator[Span]:
    """Return the spans of one text, whose tokens stand at `places` (t, 2), -1 for those that are none of it.

    A token belongs to the span in which its last character stands: spans that meet share none, and one that is cut in
    the middle of a token has it only if it has the token's end. Raises InvalidArgument.
    """
    within = places[places[:, 1] >= 0]
    stands = np.maximum.accumulate(np.maximum(within[:, 0], within[:, 1] - 1))  # (t,)
    if options["spans"] is not None:
        for number, (begin, end) in enumerate(options["spans"][index]):
            if not 0 <= begin < end <= len(text):
                raise InvalidArgument(
                    f"span {number} of text {index} goes from {begin} to {end}; 0 <= begin < end <= {len(text)} is "
                    "expected"
                )
            first, last = np.searchsorted(stands, (begin, end)).tolist()
            if first == last:
                raise InvalidArgument(
                    f"span {number} of text {index}, from {begin} to {end}, has no token that the network saw"
                )
            yield Span(begin, end, first, last)
    elif options["span_by"] == "sentence":
        for begin, end in sentences_of(text):
            first, last = np.searchsorted(stands, (begin, end)).tolist()
            if first < last:  # of a text that was cut some sentences are gone, and others are in part
                seen = max(begin, int(within[first, 0])), min(end, int(within[last - 1, 1]))
                yield Span(*seen, first, last)
    elif options["span_by"] == "tokens":
        for first in range(0, len(within), options["span_tokens"]):
            last = min(first + options["span_tokens"], len(within))
            yield Span(int(within[first, 0]), int(within[last - 1, 1]), first, last)
