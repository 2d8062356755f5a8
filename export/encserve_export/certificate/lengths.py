"""Texts of given lengths, for which a running server can be asked as for any others."""

from __future__ import annotations

from collections.abc import Iterable

from transformers import PreTrainedTokenizerBase


def texts_of_lengths(tokenizer: PreTrainedTokenizerBase, text: str, lengths: Iterable[int]) -> list[str]:
    """Beginnings of `text` that are about so many tokens long, special ones included: each is cut where a token ends,
    which can leave another token than stood there."""
    encoded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    special = sum(encoded["special_tokens_mask"])
    marked = zip(encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True)
    ends = [0, *(int(end) for (_, end), is_special in marked if not is_special)]
    wanted = (max(0, length - special) for length in lengths)
    return list(dict.fromkeys(text[: ends[min(tokens, len(ends) - 1)]] for tokens in wanted))
