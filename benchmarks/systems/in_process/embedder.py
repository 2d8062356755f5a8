"""What is common to libraries in the caller's own process: calls cannot overlap, and there is no server."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.closed_loop import Done, Load, serially

LONGEST = 256
"""Tokens of a text, with those that the tokenizer adds."""


class Library:
    """Requests one after the other, in the order in which they come; a list of texts is the library's to batch."""

    def embed(self, texts: list[str], variant: str) -> Any:
        """Their vectors."""
        raise NotImplementedError

    def run(self, load: Load, variant: str) -> Done:
        """Embed the texts of each request."""
        return serially(load, lambda texts: self.embed(texts, variant))

    def padding(self) -> float | None:
        """It cannot be seen from outside."""
        return None

    def close(self) -> None:
        """Nothing is left behind."""


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


def in_batches(
    texts: Sequence[str], embed: Callable[[list[str]], Sequence[Sequence[float]]], *, size: int = 32
) -> list[Sequence[float]]:
    """Vectors of texts, which go out in batches of `size` sorted by their number of characters, so that a library that
    pads each batch pads little."""
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    rows: list[Sequence[float]] = [()] * len(texts)
    for begin in range(0, len(order), size):
        batch = order[begin : begin + size]
        for index, row in zip(batch, embed([texts[each] for each in batch]), strict=True):
            rows[index] = row
    return rows
