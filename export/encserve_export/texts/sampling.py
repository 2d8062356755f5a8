"""Seeded choices among texts. They go by digests, so that every version of Python on every machine makes the same."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

BYTES_PER_TOKEN = 8
"""More than a token of any usual tokenizer takes on average: a text of so many bytes for each reaches a length."""
_SHORTEST_DOCUMENT = 256
"""Bytes; most texts are shorter."""


class Sorted(Protocol):
    """A text that says of what script and domain it is."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def script(self) -> str: ...  # noqa: D102
    @property
    def domain(self) -> str: ...  # noqa: D102


T = TypeVar("T", bound=Sorted)


def seeded_order(texts: Iterable[str], seed: int) -> list[str]:
    """The texts in an order that looks random and depends on nothing but them and the seed."""
    return sorted(texts, key=lambda text: hashlib.sha256(f"{seed}\0{text}".encode()).digest())


def spread_order(texts: Iterable[T], seed: int) -> list[T]:
    """An order of which any beginning has each kind, a script and a domain, in proportion to the root of its size: rare
    kinds are many times as frequent as among all texts, and the usual ones are still the most."""
    placed = [
        ((place + 0.5) / math.sqrt(len(kind)), each)
        for kind in _by_kind(texts, seed)
        for place, each in enumerate(kind)
    ]
    return [each for _, each in sorted(placed, key=lambda pair: pair[0])]


def documents_of(texts: Sequence[T], count: int, *, seed: int, longest_tokens: int) -> list[tuple[str, str]]:
    """`count` long texts and the script of each, `Mixed` for several; sizes are spread evenly in their logarithm.

    A document is texts of one kind after the other, then of the next kind, each text once until all were used. The last
    one has `BYTES_PER_TOKEN * longest_tokens` bytes.
    """
    longest = BYTES_PER_TOKEN * longest_tokens
    shortest = min(_SHORTEST_DOCUMENT, longest)
    in_kinds = [each for kind in _by_kind(texts, seed) for each in kind]
    documents = []
    for index in range(count):
        size = round(shortest * (longest / shortest) ** ((index + 1) / count))
        begin = len(in_kinds) * index // count
        documents.append(_document([*in_kinds[begin:], *in_kinds[:begin]], size))
    return documents


def _by_kind(texts: Iterable[T], seed: int) -> list[list[T]]:
    """The texts of each script and domain, kinds and texts in a seeded order."""
    kinds: dict[str, dict[str, T]] = {}
    for each in texts:
        kinds.setdefault(f"{each.script} {each.domain}", {})[each.text] = each
    return [[kinds[kind][text] for text in seeded_order(kinds[kind], seed)] for kind in seeded_order(kinds, seed)]


def _document(texts: Sequence[Sorted], size: int) -> tuple[str, str]:
    """The first `size` bytes of the texts one after the other, begun anew where they do not suffice."""
    parts: list[str] = []
    scripts: set[str] = set()
    room = size
    while room > 0:
        for each in texts:
            parts.append(each.text)
            scripts.add(each.script)
            room -= len(each.text.encode()) + 1
            if room <= 0:
                break
    scripts -= {"Common"}
    text = "\n".join(parts).encode()[:size].decode("utf-8", errors="ignore")
    return text, scripts.pop() if len(scripts) == 1 else "Mixed"
