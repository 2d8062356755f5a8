"""What the texts of a pipeline are like, as counts by version: texts of another kind show there before anybody
complains of the answers. No text, and no word of one, is kept for it."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter as Counts
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ..instance.histogram import Histogram
from ..instance.metrics import Metrics

TOKEN_BOUNDS = tuple(2**power for power in range(3, 14))
"""Upper bounds of the buckets of lengths, 8 to 8,192 tokens."""
LOOKED_AT = 32
"""The characters at the beginning of a text that its script is told by."""
_BLOCKS: tuple[tuple[int, str], ...] = (
    (0x0000, ""),
    (0x0041, "Latin"),
    (0x005B, ""),
    (0x0061, "Latin"),
    (0x007B, ""),
    (0x00C0, "Latin"),
    (0x02B0, ""),
    (0x0370, "Greek"),
    (0x0400, "Cyrillic"),
    (0x0530, "other"),
    (0x0590, "Hebrew"),
    (0x0600, "Arabic"),
    (0x0780, "other"),
    (0x0900, "Devanagari"),
    (0x0980, "other"),
    (0x0E00, "Thai"),
    (0x0E80, "other"),
    (0x1100, "Hangul"),
    (0x1200, "other"),
    (0x1E00, "Latin"),
    (0x1F00, "Greek"),
    (0x2000, ""),
    (0x2C00, "other"),
    (0x3000, ""),
    (0x3040, "Kana"),
    (0x3100, "other"),
    (0x3400, "Han"),
    (0xA000, "other"),
    (0xAC00, "Hangul"),
    (0xD7B0, ""),
    (0xF900, "Han"),
    (0xFB00, "other"),
    (0xFE00, ""),
    (0xFF66, "Kana"),
    (0xFFA0, "Hangul"),
    (0xFFE0, ""),
    (0x10000, "other"),
    (0x1F000, ""),
    (0x20000, "Han"),
    (0x32000, ""),
)
"""Where ranges of code points begin -> the script of their letters, roughly as Unicode's blocks have it; empty for
what is none."""
_BEGINS = [begin for begin, _ in _BLOCKS]
NONE = "none"
"""Of a text that begins without letters."""
SCRIPTS = (*dict.fromkeys(script for _, script in _BLOCKS if script), NONE)


class TextCounts:
    """Counts the texts of requests, in memory.

    Args:
        tokenizer: of the pipeline; says which token stands for what it does not know.
        metrics: of the instance.
    """

    def __init__(self, tokenizer: Tokenizer, metrics: Metrics) -> None:
        self._unknown_id = unknown_id_of(tokenizer)
        tokens = "Tokens of a text, with those that were cut"
        self._tokens = Histogram(metrics, "encserve_text_tokens", tokens, TOKEN_BOUNDS)
        self._cut = metrics.counter("encserve_cut_texts", "Texts of which tokens were cut")
        self._unknown = metrics.counter("encserve_unknown_texts", "Texts with a token for what no token stands for")
        self._scripts = metrics.counter("encserve_text_scripts", "Texts by the script of most letters they begin with")
        self._tokens.expect()
        self._cut.expect()
        self._unknown.expect()
        for script in SCRIPTS:
            self._scripts.expect(script=script)

    def add(self, groups: Sequence[Sequence[str]], tensors: Mapping[str, NDArray[Any]]) -> None:
        """Count the texts of a request, in groups as the layout has them but without labels, and the tensors made of
        them, without their leading dimension: `token_count` and `dropped_count` (n,), `input_ids` (T,), `lengths`
        (rows,), and what says of how many rows a text is, where there is that."""
        self._tokens.observe_all(tensors["token_count"].astype(np.int64) + tensors["dropped_count"])
        self._cut.add(int(np.count_nonzero(tensors["dropped_count"])))
        if self._unknown_id is not None and (unknown := tensors["input_ids"] == self._unknown_id).any():
            rows = np.repeat(np.arange(len(tensors["lengths"])), tensors["lengths"])  # (T,)
            self._unknown.add(len(np.unique(_texts_of_rows(tensors)[rows[unknown]])))
        for script, count in Counts(script_of(text) for group in groups for text in group).items():
            self._scripts.add(count, script=script)


def _texts_of_rows(tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Return of each row which text it is of (rows,): a long text has a row for each of its windows, one that is scored
    for each of its tokens, and one of zero-shot classification for each label."""
    count = len(tensors["token_count"])
    rows: Any = len(tensors["lengths"]) // max(count, 1)
    if "window_count" in tensors:
        rows = tensors["window_count"]
    elif "mask_count" in tensors:
        rows = np.maximum(tensors["mask_count"], 1)
    return np.repeat(np.arange(count), rows)


def script_of(text: str) -> str:
    """Return the script of most letters at the beginning of a text."""
    beginning = text[:LOOKED_AT]
    if beginning.isascii():
        return "Latin" if any(map(str.isalpha, beginning)) else NONE
    found = [script for script in map(_script_of_character, beginning) if script]
    return max(dict.fromkeys(found), key=found.count) if found else NONE


@lru_cache(maxsize=16_384)
def _script_of_character(character: str) -> str:
    return _BLOCKS[bisect_right(_BEGINS, ord(character)) - 1][1]


def unknown_id_of(tokenizer: Tokenizer) -> int | None:
    """Return the id of the token that stands for what a tokenizer does not know; None where it knows everything."""
    named = getattr(tokenizer.model, "unk_token", None) or "<unk>"
    unknown: int | None = tokenizer.token_to_id(named)
    return unknown
