"""The layout of zero-shot classification: each text paired with one hypothesis for each label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import InvalidArgument, Options
from ..kept_tokens import Tokens
from ..limits import MAX_WHOLE_BYTES, Limits
from ..rows.packed_rows import Row, cut_text, pack
from ..rows.special_tokens import special_tokens_of_pair
from .layout import TextLayout


class Layout(TextLayout):
    """Texts as premises. Each text and each hypothesis is tokenized once."""

    NAMES = ("label", "text")
    LABELS = 1

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self._limits = Limits.from_settings(settings)
        self._special = special_tokens_of_pair(tokenizer)
        self._token_types = "token_type_ids" in settings["tensors"]

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """Return the texts to tokenize, in two groups: hypotheses and texts. Raises InvalidArgument."""
        texts, labels = self._limits.decode(inputs["text"]), options["labels"]
        self._limits.check_count(len(texts) * len(labels), f"pairs ({len(texts)} texts and {len(labels)} labels)")
        template = options["hypothesis_template"]
        around = len(template.encode()) - len("{}")
        for index, label in enumerate(labels):
            if (size := around + len(label.encode())) > MAX_WHOLE_BYTES:
                raise InvalidArgument(
                    f"label {index} makes a hypothesis of {size} bytes; {MAX_WHOLE_BYTES} is the most of one, which is "
                    "read whole"
                )
        return [[template.replace("{}", label) for label in labels], texts]

    def rows(self, groups: Sequence[Sequence[str]], options: Options) -> Iterator[tuple[str, ...]]:
        """Return each text with each hypothesis."""
        hypotheses, texts = groups
        return product(texts, hypotheses)

    def kept_lengths(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """Return, for hypotheses and texts, the tokens that truncation can keep; all of a hypothesis are needed."""
        return [None, self._limits.max_length - self._special.size]

    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Return the rows of all pairs, the first text's first. What is cut is the text; the counts are of its longest
        pair.

        Raises:
            InvalidArgument: a hypothesis leaves no room, a text is too long and may not be cut, or the request has too
                many tokens.
        """
        hypotheses, texts = [encoding.ids for encoding in encodings[0]], encodings[1]
        room = self._limits.max_length - self._special.size
        for index, hypothesis in enumerate(hypotheses):
            if len(hypothesis) >= room:
                raise InvalidArgument(
                    f"label {index} makes a hypothesis of {len(hypothesis)} tokens, which leaves no room for a text: "
                    f"max_length is {self._limits.max_length}"
                )
        longest = max(map(len, hypotheses))
        rows, dropped = [], []
        for index, text in enumerate(texts):
            ids = text.ids
            excess = len(ids) + longest - room
            if excess > 0 and options["truncate"] == "error":
                raise InvalidArgument(
                    f"text {index} has {text.count(longest + self._special.size)} tokens with its longest hypothesis; "
                    f"max_length is {self._limits.max_length} and truncate is 'error'"
                )
            dropped.append(max(excess, 0))
            for hypothesis in hypotheses:
                cut = cut_text(len(ids), room - len(hypothesis), options["truncate"])
                rows.append(Row(ids[cut.begin : cut.end], hypothesis))
        packed = pack(rows, self._special, self._limits, token_types=self._token_types)
        return {
            **packed,
            "token_count": packed["lengths"].reshape(len(texts), -1).max(1).astype(np.int32),
            "dropped_count": np.array(dropped, np.int32),
        }
