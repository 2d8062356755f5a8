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
from ..limits import Limits
from ..parts.sentences import sentences_of
from .layout import TextLayout
from .tagged_texts import Layout as TaggedTexts

SPAN_TOKENS = 128
"""The tokens of a span by tokens where a request does not say how many, or as many as the model takes."""


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


class Layout(TextLayout):
    """Texts whose tokens keep their place, with the spans that a request names or asks for."""

    TRACKS_OFFSETS = True

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self._texts = TaggedTexts(tokenizer, settings)
        self._limits = Limits.from_settings(settings)

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the texts to tokenize.

        Raises InvalidArgument, also for spans that are not one list for each text, that are more than a request may
        have of tokens, or that are asked for in two ways.
        """
        spans = options["spans"]
        if options["span_tokens"] is not None and options["span_by"] != "tokens":
            raise InvalidArgument(
                f"option span_tokens is {options['span_tokens']}, and span_by is not 'tokens', which alone has so many"
            )
        if spans is not None:
            if options["span_by"] is not None:
                raise InvalidArgument("the options spans and span_by are given; one of them says what the spans are")
            if len(spans) != len(inputs["text"]):
                raise InvalidArgument(
                    f"option spans has {len(spans)} lists; the request has {len(inputs['text'])} texts, and one for "
                    "each is expected"
                )
            if (count := sum(map(len, spans))) > (most := self._limits.max_tokens_per_request):
                raise InvalidArgument(
                    f"option spans has {count} spans; max_tokens_per_request is {most}, and bounds them too"
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

        Raises InvalidArgument, also for a span that has no token, or of which a part was cut.
        """
        tensors = self._texts.packed_tensors(groups, encodings, options)
        prompts = self._texts.prompts(options, len(groups[0]))
        lengths = tensors["lengths"]
        begins = (np.cumsum(lengths) - lengths).tolist()
        at, offsets, counts = [], [], []
        for index, (prompt, text) in enumerate(zip(prompts, groups[0], strict=True)):
            begin, end = begins[index], begins[index] + int(lengths[index])
            places = tensors["offsets"][begin:end]
            text, is_cut = text[len(prompt) :], tensors["dropped_count"][index] > 0
            own = list(self._spans_of(index, text, places, options, is_cut=is_cut))
            before = begin + int(np.argmax(places[:, 1] >= 0)) if own else begin
            at += [(before + span.first, before + span.last) for span in own]
            offsets += [(span.begin, span.end) for span in own]
            counts.append(len(own))
        return tensors | {
            "span_at": np.array(at, np.int32).reshape(-1, 2),
            "span_offsets": np.array(offsets, np.int32).reshape(-1, 2),
            "span_count": np.array(counts, np.int32),
        }

    def _spans_of(
        self, index: int, text: str, places: NDArray[np.int32], options: Options, *, is_cut: bool
    ) -> Iterator[Span]:
        """Return the spans of one text, whose tokens stand at `places` (t, 2), -1 for those that are none of it. Raises
        InvalidArgument."""
        within = places[places[:, 1] >= 0]
        seen = _seen(text, within, options) if is_cut else (0, len(text))
        if options["spans"] is not None:
            return _given_spans(index, text, within, seen, options["spans"][index])
        if not len(within) or options["span_by"] is None:
            return iter(())
        if options["span_by"] == "sentence":
            return sentence_spans(text, within, seen)
        return _token_spans(within, options["span_tokens"] or min(SPAN_TOKENS, self._limits.max_length))


def _seen(text: str, within: NDArray[np.int32], options: Options) -> tuple[int, int]:
    """Return where what the network saw of a text that was cut begins and ends."""
    if not len(within):
        return 0, 0
    return (int(within[0, 0]), len(text)) if options["truncate"] == "start" else (0, int(within[-1, 1]))


def _given_spans(
    index: int, text: str, within: NDArray[np.int32], seen: tuple[int, int], spans: Sequence[tuple[int, int]]
) -> Iterator[Span]:
    """Return the spans of a text that a request names. Raises InvalidArgument.

    A token belongs to the span in which its last character stands: spans that meet share none, and one that is cut in
    the middle of a token has it only if it has the token's end.
    """
    stands = _last_characters(within)
    for number, (begin, end) in enumerate(spans):
        if not 0 <= begin < end <= len(text):
            raise InvalidArgument(
                f"span {number} of text {index} goes from {begin} to {end}; 0 <= begin < end <= {len(text)} is expected"
            )
        first, last = np.searchsorted(stands, (begin, end)).tolist()
        if first == last:
            raise InvalidArgument(
                f"span {number} of text {index}, from {begin} to {end}, has no token that the network saw"
            )
        if text[begin : seen[0]].strip() or text[seen[1] : end].strip():
            raise InvalidArgument(
                f"span {number} of text {index} goes from {begin} to {end}; the text was cut, and the network saw it "
                f"from {seen[0]} to {seen[1]}"
            )
        yield Span(begin, end, first, last)


def sentence_spans(text: str, within: NDArray[np.int32], seen: tuple[int, int]) -> Iterator[Span]:
    """Return the sentences of what the network saw of a text, without those that have no token.

    A token of the last mark of a sentence and the white space behind it is the sentence's; one of white space alone is
    no sentence's.
    """
    stands, begins = _last_characters(within), np.maximum.accumulate(within[:, 0])  # (t,)
    sentences = [(seen[0] + begin, seen[0] + end) for begin, end in sentences_of(text[slice(*seen)])]
    firsts = np.searchsorted(stands, [begin for begin, _ in sentences]).tolist()
    lasts = np.searchsorted(begins, [end for _, end in sentences]).tolist()
    for (begin, end), first, last, of_next in zip(sentences, firsts, lasts, [*firsts[1:], len(within)], strict=True):
        if first < (last := min(last, of_next)):
            yield Span(begin, end, first, last)


def _token_spans(within: NDArray[np.int32], tokens: int) -> Iterator[Span]:
    """Return spans of so many tokens, the last one of as many as are left."""
    for first in range(0, len(within), tokens):
        last = min(first + tokens, len(within))
        yield Span(int(within[first, 0]), int(within[last - 1, 1]), first, last)


def _last_characters(within: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return where the last character of each token stands, (t,), in ascending order."""
    return np.maximum.accumulate(np.maximum(within[:, 0], within[:, 1] - 1))
