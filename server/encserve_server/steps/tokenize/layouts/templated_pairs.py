"""The layout of rerankers that are asked in words: a template around a query and a document, in one row for each pair.

The row is tokenized as a whole, since tokens may reach across the border of a text. Where it is too long, the end of
what was written is cut, as a rule that of the document, and the template's own last tokens stand behind what is left:
the network reads its answer off the last of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import InvalidArgument, Options
from ..kept_tokens import Tokens
from ..limits import Limits
from ..rows.packed_rows import Row, pack
from ..rows.special_tokens import SpecialTokens
from .layout import TextLayout

_NONE = SpecialTokens((), (), (), (), 0, (), 0, ())
_FILLERS = ("0", "1 2 3 4")
"""Texts without a common last token: what two rows with them have in common at their ends is the template's."""


class Layout(TextLayout):
    """Pairs with the limits, prompts and the template of their pipeline."""

    INPUTS = ("text", "text_pair")

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self.limits = Limits.from_settings(settings)
        self._tokenizer = tokenizer
        self._prompts = dict(settings.get("prompts", {}))
        self._plain: list[str] = settings["template"]["plain"]
        self._instructed: list[str] = settings["template"]["instructed"]

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the rendered pairs, as the only group. Raises InvalidArgument."""
        queries = self.limits.decode(inputs["text"], whole=True)
        documents = self.limits.decode(inputs["text_pair"], name="text_pair")
        if len(queries) not in (1, len(documents)):
            raise InvalidArgument(
                f"the request has {len(queries)} texts and {len(documents)} text_pairs; expected are as many, or one "
                "text"
            )
        if len(queries) == 1:
            queries *= len(documents)
        pieces = self._pieces(options)
        return [[self._rendered(pieces, *pair) for pair in zip(queries, documents, strict=True)]]

    def kept_lengths(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """Return the tokens of a row that truncation can keep."""
        return [self.limits.max_length]

    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Return the rows of the pairs of one request, cut to the length that the network takes, and laid end to end.

        Raises:
            InvalidArgument: a pair is too long and may not be cut, or the request has too many tokens.
        """
        most, rows, dropped = self.limits.max_length, [], []
        ending: list[int] = []
        for index, encoding in enumerate(encodings[0]):
            ids, excess = encoding.ids, len(encoding) - most
            if excess > 0 and options["truncate"] == "error":
                raise InvalidArgument(
                    f"pair {index} has {encoding.count()} tokens with its template; max_length is {most} and truncate "
                    "is 'error'"
                )
            if excess > 0:
                ending = ending or self._ending(options)
                ids = [*ids[: most - len(ending)], *ending]
            rows.append(Row(ids))
            dropped.append(max(0, excess))
        packed = pack(rows, _NONE, self.limits, token_types=False)
        return {
            **packed,
            "token_count": packed["lengths"].astype(np.int32),
            "dropped_count": np.array(dropped, np.int32),
            "window_count": np.ones(len(rows), np.int32),
        }

    def _pieces(self, options: Options) -> list[str]:
        """Return what stands around query and document, the instruction of the request among it."""
        instruction = options.get("instruction")
        if instruction is None:
            instruction = self._prompts[options["prompt_name"]] if options.get("prompt_name") else ""
        if not instruction:
            return self._plain
        before, between, *rest = self._instructed
        return [before + instruction + between, *rest]

    @staticmethod
    def _rendered(pieces: Sequence[str], query: str, document: str) -> str:
        before, between, after = pieces
        return before + query + between + document + after

    def _ending(self, options: Options) -> list[int]:
        """Return the tokens with which every row of the request ends."""
        pieces = self._pieces(options)
        texts = [self._rendered(pieces, filler, filler) for filler in _FILLERS]
        one, other = (each.ids for each in self._tokenizer.encode_batch(texts, add_special_tokens=False))
        count = 0
        while count < min(len(one), len(other)) and one[-1 - count] == other[-1 - count]:
            count += 1
        return list(one[len(one) - count :][-self.limits.max_length :])
