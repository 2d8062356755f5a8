"""The layout of tasks about single texts: one row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from .frame import frame_of_text
from .limits import Limits
from .options import InvalidArgument, Options
from .packed_rows import Cut, Row, cut_text, pack


class Layout:
    """Texts with the limits and prompts of their pipeline."""

    INPUTS = ("text",)
    TRACKS_OFFSETS = False
    """Whether encodings must know where in the text each token stands."""

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self.limits = Limits.from_settings(settings)
        self._prompts = dict(settings.get("prompts", {}))
        self._frame = frame_of_text(tokenizer)
        self._token_types = "token_type_ids" in settings["tensors"]

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options) -> list[list[str]]:
        """The texts to tokenize, each with its prompt, as the only group. Raises InvalidArgument."""
        prompt = self._prompts[options["prompt_name"]] if options.get("prompt_name") else ""
        texts = self.limits.decode(inputs["text"])
        return [[prompt + text for text in texts] if prompt else texts]

    def lay(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Encoding]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Cut the texts of one request to the length that the network takes, and lay them end to end.

        Special tokens are kept: what is cut is the text between them, at its end or at its start.

        Raises:
            InvalidArgument: a text is too long and may not be cut, or the request has too many tokens.
        """
        return self.lay_cut(encodings[0], self.cut(encodings[0], options))

    def cut(self, encodings: Sequence[Encoding], options: Options) -> list[Cut]:
        """What is left of each text."""
        room = self.limits.max_length - self._frame.size
        cuts = []
        for index, encoding in enumerate(encodings):
            size, side = len(encoding), options["truncate"]
            if size > room and side == "error":
                raise InvalidArgument(
                    f"text {index} has {size + self._frame.size} tokens; max_length is {self.limits.max_length} and "
                    "truncate is 'error'"
                )
            cuts.append(cut_text(size, room, side))
        return cuts

    def lay_cut(self, encodings: Sequence[Encoding], cuts: Sequence[Cut]) -> dict[str, NDArray[Any]]:
        """The tensors of what is left of each text."""
        rows = [Row(encoding.ids[cut.begin : cut.end]) for encoding, cut in zip(encodings, cuts, strict=True)]
        packed = pack(rows, self._frame, self.limits, token_types=self._token_types)
        return {
            **packed,
            "token_count": packed["lengths"].astype(np.int32),
            "dropped_count": np.array([cut.dropped for cut in cuts], np.int32),
        }

    def spread(self, cuts: Sequence[Cut], values: Sequence[NDArray[Any]], blank: Any) -> NDArray[Any]:
        """Values (t, ...) of the tokens of each whole text, laid as its tokens are; `blank` at special tokens."""
        before, after = len(self._frame.before), len(self._frame.between) + len(self._frame.after)
        parts = []
        for cut, value in zip(cuts, values, strict=True):
            around = [np.full((size, *value.shape[1:]), blank, value.dtype) for size in (before, after)]
            parts += [around[0], value[cut.begin : cut.end], around[1]]
        return np.concatenate(parts)
