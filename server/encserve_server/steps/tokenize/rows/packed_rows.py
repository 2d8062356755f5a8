"""Token ids of texts, or of pairs of texts, cut to what the network takes and laid end to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...request.options import InvalidArgument
from ..limits import Limits
from .special_tokens import SpecialTokens


@dataclass(frozen=True)
class Cut:
    """What is left of a text: its tokens from `begin` to `end`, by index."""

    begin: int
    end: int
    dropped: int = 0
    """Return the number of tokens that were cut."""


def cut_text(size: int, room: int, side: str) -> Cut:
    """Return what is left of a text of `size` tokens that is cut to `room` tokens, at its "end" or its "start"."""
    kept = min(size, max(0, room))
    begin = 0 if side == "end" else size - kept
    return Cut(begin, begin + kept, size - kept)


def cut_pair(first: int, second: int, room: int, side: str) -> tuple[Cut, Cut]:
    """Return what is left of two texts: the longer one is cut, and both to half of the room once they are equal, as
    transformers does."""
    short, long = sorted((first, second))
    if first + second > room:
        long = max(short, room - short) if short <= room else short
        if short + long > room:
            short = room // 2
            long = room - short
    kept_first, kept_second = (short, long) if first <= second else (long, short)
    return cut_text(first, kept_first, side), cut_text(second, kept_second, side)


@dataclass(frozen=True)
class Row:
    """One row of a pack: special tokens, a text, and perhaps a second one."""

    first: Sequence[int]
    """The token ids of the first text, already cut."""
    second: Sequence[int] = ()


def pack(rows: Sequence[Row], special: SpecialTokens, limits: Limits, *, token_types: bool) -> dict[str, NDArray[Any]]:
    """Return rows laid end to end: `input_ids` (T,), `lengths` (n,) and, where asked for, `token_type_ids` (T,).

    Raises:
        InvalidArgument: the rows have too many tokens together.
    """
    lengths = np.fromiter((special.size + len(row.first) + len(row.second) for row in rows), np.int64, len(rows))
    check_tokens(int(lengths.sum()), limits)
    parts: list[int] = []
    for row in rows:
        parts += special.before
        parts += row.first
        parts += special.between
        parts += row.second
        parts += special.after
    packed = {"input_ids": np.array(parts, np.int64), "lengths": lengths}
    if token_types:
        packed["token_type_ids"] = np.fromiter(_types(rows, special), np.int64, len(parts))
    return packed


def check_tokens(count: int, limits: Limits) -> None:
    """Refuse more than `max_tokens_per_request`."""
    if count > limits.max_tokens_per_request:
        raise InvalidArgument(
            f"the request has {count} tokens; max_tokens_per_request is {limits.max_tokens_per_request}"
        )


def check_some_tokens(count: int, name: str) -> None:
    """Refuse a row of no tokens, as an empty text is where the tokenizer puts no special token around it: no network
    has an answer for it. `name` says in the error which it is."""
    if not count:
        raise InvalidArgument(f"{name} has no tokens, for which the model has no answer; at least 1 is expected")


def _types(rows: Sequence[Row], special: SpecialTokens) -> Iterable[int]:
    for row in rows:
        yield from special.before_types
        yield from [special.first_type] * len(row.first)
        yield from special.between_types
        yield from [special.second_type] * len(row.second)
        yield from special.after_types
