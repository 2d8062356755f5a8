"""Token ids of texts, or of pairs of texts, cut to what the network takes and laid end to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...request.options import InvalidArgument
from ..limits import Limits
from .frame import Frame


@dataclass(frozen=True)
class Cut:
    """What is left of a text: its tokens from `begin` to `end`, by index."""

    begin: int
    end: int
    dropped: int = 0
    """Tokens that were cut."""


def cut_text(size: int, room: int, side: str) -> Cut:
    """Cut a text of `size` tokens to `room` tokens, at its "end" or its "start"."""
    kept = min(size, max(0, room))
    begin = 0 if side == "end" else size - kept
    return Cut(begin, begin + kept, size - kept)


def cut_pair(first: int, second: int, room: int, side: str) -> tuple[Cut, Cut]:
    """Cut the longer of two texts, and both to half of the room once they are equal: as transformers does."""
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
    """One text of a pack: special tokens, a text, and perhaps a second one."""

    first: Sequence[int]
    """Token ids, already cut."""
    second: Sequence[int] = ()


def pack(rows: Sequence[Row], frame: Frame, limits: Limits, *, token_types: bool) -> dict[str, NDArray[Any]]:
    """Lay rows end to end: `input_ids` (T,), `lengths` (n,) and, where asked for, `token_type_ids` (T,).

    Raises:
        InvalidArgument: the rows have too many tokens together.
    """
    lengths = np.fromiter((frame.size + len(row.first) + len(row.second) for row in rows), np.int64, len(rows))
    check_tokens(int(lengths.sum()), limits)
    parts: list[int] = []
    for row in rows:
        parts += frame.before
        parts += row.first
        parts += frame.between
        parts += row.second
        parts += frame.after
    packed = {"input_ids": np.array(parts, np.int64), "lengths": lengths}
    if token_types:
        packed["token_type_ids"] = np.fromiter(_types(rows, frame), np.int64, len(parts))
    return packed


def check_tokens(count: int, limits: Limits) -> None:
    """Refuse more than `max_tokens_per_request`."""
    if count > limits.max_tokens_per_request:
        raise InvalidArgument(
            f"the request has {count} tokens; max_tokens_per_request is {limits.max_tokens_per_request}"
        )


def _types(rows: Sequence[Row], frame: Frame) -> Iterable[int]:
    for row in rows:
        yield from frame.before_types
        yield from [frame.first_type] * len(row.first)
        yield from frame.between_types
        yield from [frame.second_type] * len(row.second)
        yield from frame.after_types
