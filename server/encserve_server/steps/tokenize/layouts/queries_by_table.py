"""The layout of sparse vectors where a table answers queries: documents become rows for the network, and the tokens of
a query are looked up here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import InvalidArgument, Options
from ..kept_tokens import Tokens
from ..limits import Limits
from ..rows.packed_rows import check_tokens, cut_text
from .layout import TextLayout
from .single_texts import Layout as SingleTexts

SIDES = ("query", "document")
"""What texts may be."""


class Layout(TextLayout):
    """Texts of one kind, as the option `input_type` says."""

    NAMES = SIDES

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self._limits = Limits.from_settings(settings)
        self._documents = SingleTexts(tokenizer, settings)
        self._inputs = [name for name in ("input_ids", "lengths", "token_type_ids") if name in settings["tensors"]]
        stated = settings["query_table"]
        self._room: int | None = stated["max_length"]
        self._usual: Mapping[str, str] = stated["prompt_names"]
        self._weights = np.array(stated["weights"], np.float32)  # (V,)

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the texts to tokenize, each with its prompt, in two groups: queries and documents.

        Raises InvalidArgument.
        """
        side = options["input_type"]
        name = options["prompt_name"]
        chosen = {**options, "prompt_name": self._usual[side] if name is None else name}
        prompt = self._documents.prompt(chosen)
        whole = side == SIDES[0] and self._room is None
        texts = [prompt + text for text in self._limits.decode(inputs["text"], whole=whole)]
        return [texts, []] if side == SIDES[0] else [[], texts]

    def kept_lengths(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """Return, for queries and documents, the tokens of a text that truncation can keep."""
        return [self._room, *self._documents.kept_lengths(groups[1:], options)]

    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Return the rows of documents as for single texts, and of queries no row; of the Q queries `query_term_count`
        (Q,), and for the E terms of all of them `query_term_id` and `query_term_weight` (E,), those of each by id.

        Raises:
            InvalidArgument: a text is too long and may not be cut, a document has no tokens, or the request has too
                many tokens.
        """
        queries, documents = encodings
        if options["input_type"] == SIDES[0]:
            return {name: np.empty(0, np.int64) for name in self._inputs} | self._answered(queries, options)
        packed = self._documents.packed_tensors(groups[1:], [documents], options)
        return packed | _terms([], np.empty(0, np.float32))

    def _answered(self, queries: Sequence[Tokens], options: Options) -> dict[str, NDArray[Any]]:
        side, terms, counts, dropped = options["truncate"], [], [], []
        for index, encoding in enumerate(queries):
            room = len(encoding) if self._room is None else self._room
            cut = cut_text(len(encoding), room, side)
            if cut.dropped and side == "error":
                raise InvalidArgument(
                    f"query {index} has {encoding.count()} tokens; {room} are the most of a query and truncate is "
                    "'error'"
                )
            ids = np.unique(np.array(encoding.ids[cut.begin : cut.end], np.int32))  # a token counts once
            terms.append(ids[self._weights[ids] != 0])
            counts.append(cut.end - cut.begin)
            dropped.append(cut.dropped)
        check_tokens(sum(counts), self._limits)
        return {
            **_terms(terms, self._weights),
            "token_count": np.array(counts, np.int32),
            "dropped_count": np.array(dropped, np.int32),
        }


def _terms(terms: Sequence[NDArray[np.int32]], weights: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Return the tensors of the terms of queries, by their ids, with the weights (V,) of the vocabulary."""
    ids = np.concatenate([np.empty(0, np.int32), *terms])
    return {
        "query_term_count": np.array([len(own) for own in terms], np.int32),
        "query_term_id": ids,
        "query_term_weight": weights[ids],
    }
