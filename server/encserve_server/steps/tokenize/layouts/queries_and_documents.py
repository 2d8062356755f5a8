"""The layout of late interaction: queries and documents, each with its marker, its length and what counts of it.

A query may be filled up with mask tokens, whose vectors count as those of words do; whether the others attend to them
is the checkpoint's to say. Of documents some tokens, such as punctuation, have no vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import InvalidArgument, Options
from ..given_vectors import GivenVectors
from ..kept_tokens import Tokens
from ..limits import Limits
from ..rows.packed_rows import check_some_tokens, check_tokens, cut_text
from ..rows.special_tokens import special_tokens_of_text
from .layout import TextLayout

_NOWHERE = -1
_NAMES = ("query", "document")
"""What errors call the texts of the two groups."""


@dataclass(frozen=True)
class Side:
    """How the texts of one kind become rows."""

    marker: tuple[int, ...]
    """The token that says of which kind a text is, behind the special tokens before it; empty without one."""
    prompt: str
    """What is put before a text, and read with it."""
    max_length: int
    """Tokens of a row that the network sees."""
    filled_to: int
    """Tokens up to which a row is filled up; 0 where it is not."""
    filler: int
    """The token of that."""
    skipped: frozenset[int]
    """Tokens that have no vector."""

    @classmethod
    def from_settings(cls, stated: Mapping[str, Any]) -> Side:
        """Return the side that settings describe."""
        return cls(**{**stated, "marker": tuple(stated["marker"]), "skipped": frozenset(stated["skipped"])})


@dataclass(frozen=True)
class _Row:
    """One text as the network sees it."""

    ids: list[int]
    """Its tokens, those that fill it up at the end."""
    attended: int
    """How many of them, from the first on, others attend to."""
    vector_at: list[int]
    """Those that have a vector, by index."""
    offsets: list[tuple[int, int]]
    """Where in the text each token with a vector stands; -1 outside."""
    dropped: int


class Layout(TextLayout):
    """Texts of one kind, or a query and the documents that are to be ranked, or vectors of these."""

    READ = len(_NAMES)
    TRACKS_OFFSETS = True
    NAMES = _NAMES

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self._limits = Limits.from_settings(settings)
        self._special = special_tokens_of_text(tokenizer)
        stated = settings["late_interaction"]
        self._sides = tuple(Side.from_settings(stated[name]) for name in _NAMES)
        self._attends: bool = stated["attends_to_filling"]
        self._tensors: Sequence[str] = settings["tensors"]
        self._given = GivenVectors(stated["width"], self._limits.max_tokens_per_request)

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the texts to tokenize, each with its prompt, in two groups: queries and documents. In a third one come
        documents of which vectors are given, as they are.

        Raises InvalidArgument.
        """
        raw = inputs["text"]
        given: list[str] = []
        if options["document_vectors"] and not options["rank"]:
            raise InvalidArgument(
                f"option document_vectors is {options['document_vectors']!r} and rank is false; vectors are given to "
                "be ranked"
            )
        if options["rank"]:
            if len(raw) < 2:
                raise InvalidArgument(
                    f"the request has {len(raw)} texts and rank is true; a query and one document at least are expected"
                )
            self._limits.check_count(len(raw), "texts, the query among them")
            groups = [self._limits.decode(raw[:1], name=_NAMES[0]), self._limits.decode(raw[1:], name=_NAMES[1])]
            if options["document_vectors"]:
                groups[1], given = [], groups[1]
                self._given.check(given, options)
        else:
            texts = self._limits.decode(raw)
            groups = [texts, []] if options["input_type"] == _NAMES[0] else [[], texts]
        prompted = [[side.prompt + text for text in group] for side, group in zip(self._sides, groups, strict=True)]
        return [*prompted, given] if given else prompted

    def given_vectors(self, groups: Sequence[Sequence[str]], options: Options) -> int:
        """Return how many vectors are given of documents."""
        return sum(self._given.count(given, options) for given in groups[self.READ :])

    def kept_lengths(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """Return, for queries and documents, the tokens of a text that truncation can keep."""
        return [self._room(side) for side in self._sides]

    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Return the rows of n texts, T tokens together, queries first: `input_ids` (T,), `lengths` (n,) and, where the
        network is told, `attention_mask` (T,), 0 at tokens that no other attends to; of the V tokens that have a vector
        `vector_at` (V,), their places among all T, and `offsets` (V, 2); and `vector_count` (n,). Of the D vectors that
        are given of m documents, none without that, `document_vector` (D, d) and `document_count` (m,).

        Raises:
            InvalidArgument: a text has no tokens, none with a vector, or is too long and may not be cut; the request
                has too many tokens; or what is given of a document is no base64, or not finite.
        """
        rows, laid = [], 0
        for side, name, group in zip(self._sides, _NAMES, encodings, strict=True):
            for index, encoding in enumerate(group):
                rows.append(self._row(side, f"{name} {index}", encoding, options["truncate"]))
                laid += len(rows[-1].ids)
                check_tokens(laid, self._limits)  # before further rows are filled up
        lengths = np.array([len(row.ids) for row in rows], np.int64)
        begins = (np.cumsum(lengths) - lengths).tolist()
        places = [begin + place for begin, row in zip(begins, rows, strict=True) for place in row.vector_at]
        tensors: dict[str, NDArray[Any]] = {
            "input_ids": np.array([id_ for row in rows for id_ in row.ids], np.int64),
            "lengths": lengths,
            "vector_at": np.array(places, np.int32),
            "vector_count": np.array([len(row.vector_at) for row in rows], np.int32),
            "offsets": np.array([place for row in rows for place in row.offsets], np.int32).reshape(-1, 2),
            "token_count": lengths.astype(np.int32),
            "dropped_count": np.array([row.dropped for row in rows], np.int32),
        }
        given = groups[self.READ] if len(groups) > self.READ else []
        tensors["document_vector"], tensors["document_count"] = self._given.read(given, options)
        if "attention_mask" in self._tensors:
            attended = [np.arange(len(row.ids)) < row.attended for row in rows]
            tensors["attention_mask"] = np.concatenate(attended).astype(np.int64)
        if "token_type_ids" in self._tensors:
            tensors["token_type_ids"] = np.full(int(lengths.sum()), self._special.first_type, np.int64)
        return tensors

    def _room(self, side: Side) -> int:
        """Return the tokens of a text, with its prompt, that a row holds."""
        return max(0, side.max_length - self._special.size - len(side.marker))

    def _row(self, side: Side, name: str, encoding: Tokens, truncate: str) -> _Row:
        special, size, room = self._special, len(encoding), self._room(side)
        around = special.size + len(side.marker)
        check_some_tokens(size + around, name)
        if size > room and truncate == "error":
            raise InvalidArgument(
                f"{name} has {encoding.count(around)} tokens; its max_length is {side.max_length} and truncate is "
                "'error'"
            )
        cut = cut_text(size, room, truncate)
        before = [*special.before, *side.marker]
        ids = [*before, *encoding.ids[cut.begin : cut.end], *special.after]
        own = len(ids)
        ids += [side.filler] * (side.filled_to - own)
        offsets = [(_NOWHERE, _NOWHERE)] * len(ids)
        places = encoding.offsets[cut.begin : cut.end]
        offsets[len(before) : len(before) + len(places)] = [_behind(len(side.prompt), place) for place in places]
        vector_at = [place for place, id_ in enumerate(ids) if id_ not in side.skipped]
        if not vector_at:
            raise InvalidArgument(f"{name} has no token with a vector; at least 1 is expected")
        return _Row(
            ids=ids,
            attended=len(ids) if self._attends else own,
            vector_at=vector_at,
            offsets=[offsets[place] for place in vector_at],
            dropped=cut.dropped,
        )


def _behind(prompt: int, place: tuple[int, int]) -> tuple[int, int]:
    """Return a place in a text with a prompt of so many characters before it, counted without the prompt; -1 within."""
    begin, end = place
    return (max(0, begin - prompt), end - prompt) if end > prompt or not prompt else (_NOWHERE, _NOWHERE)
