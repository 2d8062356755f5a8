"""The layout of tasks about single texts: one row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...request.options import InvalidArgument, Options
from ..adapter_ids import names_of_texts
from ..kept_tokens import Tokens
from ..limits import Limits
from ..rows.packed_rows import Cut, Row, check_some_tokens, check_tokens, cut_text, pack
from ..rows.special_tokens import special_tokens_of_text
from ..rows.windows import count_windows, windows_of
from .layout import TextLayout


class Layout(TextLayout):
    """Texts with the limits and prompts of their pipeline."""

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        self.limits = Limits.from_settings(settings)
        self._prompts = dict(settings.get("prompts", {}))
        self._of_adapters: Mapping[str, str] = settings.get("adapter_prompts", {})
        self._special = special_tokens_of_text(tokenizer)
        self._token_types = "token_type_ids" in settings["tensors"]
        self._tokenizer = tokenizer
        self._leaves_out_prompt: bool = settings.get("leaves_out_prompt", False)

    def prompt(self, options: Options) -> str:
        """Return the text that a request puts before each text: what it writes out, or what it names."""
        written: str | None = options.get("prompt")
        if written is not None:
            return written
        return self._prompts[options["prompt_name"]] if options.get("prompt_name") else ""

    def prompts(self, options: Options, count: int) -> list[str]:
        """Return what stands before each of `count` texts: the prompt of the request, or, where it says nothing of
        prompts, that which comes with the adapter of the text. Raises InvalidArgument."""
        if not self._of_adapters or options.get("prompt") is not None or options.get("prompt_name") is not None:
            return [self.prompt(options)] * count
        return [self._of_adapters.get(name, "") for name in names_of_texts(options["adapter"], count)]

    def read(self, inputs: Mapping[str, Sequence[bytes]], options: Options, *, whole: bool = False) -> list[list[str]]:
        """Return the texts to tokenize, each with its prompt, as the only group; `whole` where all their tokens are
        needed.

        Raises InvalidArgument.
        """
        in_windows = options.get("long_text") == "chunk"
        prompts = self.prompts(options, len(inputs["text"]))
        if in_windows and self._leaves_out_prompt and any(prompts):
            raise InvalidArgument(
                "option long_text is 'chunk', which does not go with a prompt in this pipeline, whose vectors leave it "
                "out: give an empty prompt, or long_text 'truncate'"
            )
        texts = self.limits.decode(inputs["text"], whole=whole or in_windows)
        return [[prompt + text for prompt, text in zip(prompts, texts, strict=True)] if any(prompts) else texts]

    def kept_lengths(self, groups: Sequence[Sequence[str]], options: Options) -> list[int | None]:
        """Return the tokens of a text that truncation can keep; None where it is read in windows and all are needed."""
        in_windows = options.get("long_text") == "chunk"
        return [None if in_windows else self.limits.max_length - self._special.size]

    def packed_tensors(
        self, groups: Sequence[Sequence[str]], encodings: Sequence[Sequence[Tokens]], options: Options
    ) -> dict[str, NDArray[Any]]:
        """Return the rows of the texts of one request, cut to the length that the network takes, and laid end to end.

        Special tokens are kept: what is cut is the text between them, at its end or at its start.

        Raises:
            InvalidArgument: a text has no tokens, or none beside a prompt that is left out, or too many and may not be
                cut; or the request has too many.
        """
        cuts = self.cut(encodings[0], options)
        packed = self.packed_cuts(encodings[0], cuts)
        return packed | self._pooling_mask(packed, options) if self._leaves_out_prompt else packed

    def _pooling_mask(self, packed: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[np.int64]]:
        """Return which tokens (T,) the mean of each text is of: 0 for those of the prompt and what stands before it. A
        text with a prompt has one window. Raises InvalidArgument where the mean would be of none."""
        mask = np.ones_like(packed["input_ids"])
        prompts = self.prompts(options, len(packed["window_count"]))
        if any(prompts):
            sizes = {
                prompt: len(self._tokenizer.encode(prompt, add_special_tokens=False)) for prompt in {*prompts} - {""}
            }
            # The special token behind a prompt stands behind the text that follows; as a rule there is one.
            around = len(self._special.before) + max(0, len(self._special.after) - 1)
            lengths = packed["lengths"].tolist()
            begins = (np.cumsum(lengths) - lengths).tolist()
            for index, (prompt, begin, length) in enumerate(zip(prompts, begins, lengths, strict=True)):
                if not prompt:
                    continue
                size, left_out = sizes[prompt], sizes[prompt] + around
                if left_out >= length:
                    raise InvalidArgument(
                        f"text {index} has no token that its vector could be of, beside a prompt of {size} tokens that "
                        f"is left out; max_length is {self.limits.max_length}"
                    )
                mask[begin : begin + left_out] = 0
        return {"pooling_mask": mask}

    def cut(self, encodings: Sequence[Tokens], options: Options) -> list[list[Cut]]:
        """Return what is left of each text: one part, or overlapping windows where the request wants long texts
        whole."""
        room, side = self.limits.max_length - self._special.size, options["truncate"]
        in_windows = options.get("long_text") == "chunk"
        if in_windows and options["overlap"] >= room:
            raise InvalidArgument(f"option overlap is {options['overlap']}; a window holds {room} tokens of text")
        cuts, laid = [], 0
        for index, encoding in enumerate(encodings):
            size = len(encoding)
            check_some_tokens(size + self._special.size, f"text {index}")
            if size > room and in_windows:
                count = count_windows(size, room, options["overlap"])
                laid += size + count * (options["overlap"] + self._special.size) - options["overlap"]
                check_tokens(laid, self.limits)  # before windows are made that may repeat nearly all of one another
                cuts.append([Cut(*window) for window in windows_of(size, room, options["overlap"])])
                continue
            if size > room and side == "error":
                raise InvalidArgument(
                    f"text {index} has {encoding.count(self._special.size)} tokens; max_length is "
                    f"{self.limits.max_length} and truncate is 'error'"
                )
            cuts.append([cut_text(size, room, side)])
        return cuts

    def packed_cuts(self, encodings: Sequence[Tokens], cuts: Sequence[Sequence[Cut]]) -> dict[str, NDArray[Any]]:
        """Return the tensors of what is left of each text."""
        rows, sizes = [], []
        for encoding, windows in zip(encodings, cuts, strict=True):
            ids = encoding.ids
            rows += [Row(ids[window.begin : window.end]) for window in windows]
            sizes.append(self._special.size + windows[-1].end - windows[0].begin)
        return {
            **self.pack(rows),
            "token_count": np.array(sizes, np.int32),
            "dropped_count": np.array([windows[0].dropped for windows in cuts], np.int32),
            "window_count": np.array([len(windows) for windows in cuts], np.int32),
        }

    def pack(self, rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
        """Return the tensors of rows, with special tokens around each. Raises InvalidArgument."""
        return pack(rows, self._special, self.limits, token_types=self._token_types)

    def spread(self, windows: Sequence[Cut], values: NDArray[Any], blank: Any) -> NDArray[Any]:
        """Return values (t, ...) of the tokens of a whole text, laid as the tokens of its windows are; `blank` at
        special tokens, and at those that belong to another window."""
        before, after = len(self._special.before), len(self._special.between) + len(self._special.after)
        around = [np.full((size, *values.shape[1:]), blank, values.dtype) for size in (before, after)]
        parts = []
        for index, window in enumerate(windows):
            own = values[window.begin : window.end].copy()
            # Of what two windows share, each has the half that is farther from its edge.
            if index:
                own[: (windows[index - 1].end - window.begin + 1) // 2] = blank
            if index + 1 < len(windows):
                own[window.end - window.begin - (window.end - windows[index + 1].begin) // 2 :] = blank
            parts += [around[0], own, around[1]]
        return np.concatenate(parts)
