"""Which queries meet which keys in attention over a pack: groups of queries of one text, each with places of its keys.

Two layouts. In one a text is one group, and all groups are as long as the longest text: n * L * L scores, by which
nothing is lost where texts are of similar lengths. In the other a text is cut into tiles of `TILE` queries. T tokens of
n texts fill T // TILE + n tiles at most, which is known before any length is, so that no shape comes out of data; their
scores are as many as the T * L that texts of the greatest length would have, and n * TILE * L for the ends of texts.
Where a layer has a window, a tile meets the keys within its reach and no others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

TILE = 64
"""Queries of a tile. A tile takes copies of the keys and values of its text, so that smaller ones move more numbers
than they save; larger ones pad short texts."""


@dataclass(frozen=True)
class Pairs:
    """m groups of c queries, each with k places of keys."""

    query_at: Tensor
    """Index into the row of each query, some valid one past the end of a text: int64 (m, c)."""
    key_at: Tensor
    """Index into the row of each key, likewise: int64 (m, k)."""
    query_place: Tensor
    """Place of each query within its text: int64 (m, c), or (1, c) where it is the same in all groups."""
    key_place: Tensor
    """Place of each key within its text: int64 (m, k) or (1, k)."""
    is_key: Tensor
    """Which places of keys are within the text, and attended to: bool (m, k)."""
    place_of: Tensor
    """Index into the flattened queries (m * c) of each token: int64 (T,)."""
    window: int | None = None
    """A token attends to those less than so many places away from it; to all of its text without."""
    causal: bool = False
    """Whether a token attends to none that stands after it."""

    @cached_property
    def distance(self) -> Tensor:
        """From each query to each key: int64 (m or 1, c, k)."""
        return self.key_place[:, None, :] - self.query_place[:, :, None]

    @cached_property
    def seen(self) -> Tensor:
        """Which keys each query attends to: bool (m, c or 1, k)."""
        seen = self.is_key[:, None, :]
        key, query = self.key_place[:, None, :], self.query_place[:, :, None]  # compared, as distances take more memory
        if self.window is not None:
            seen = seen & (key > query - self.window)
        if self.causal:
            return seen & (key <= query)
        return seen if self.window is None else seen & (key < query + self.window)

    def only(self, attended: Tensor) -> Pairs:
        """The same, with those keys alone at which `attended` bool (T,) is true."""
        return replace(self, is_key=self.is_key & attended[self.key_at])

    def queries(self, states: Tensor) -> Tensor:
        """(heads, T, dim) -> (heads, m, c, dim)."""
        return _taken(states, self.query_at)

    def keys(self, states: Tensor) -> Tensor:
        """(heads, T, dim) -> (heads, m, k, dim); values, too."""
        return _taken(states, self.key_at)

    def row(self, mixed: Tensor) -> Tensor:
        """What the queries got, back in the row: (heads, m, c, dim) -> (heads, T, dim)."""
        return mixed.flatten(1, 2).index_select(1, self.place_of)


@dataclass(frozen=True)
class Texts:
    """Where the n texts of a row of T tokens lie."""

    lengths: Tensor
    """int64 (n,)."""
    starts: Tensor
    """Index into the row of the first token of each: int64 (n,)."""
    text_of: Tensor
    """The text of each token: int64 (T,)."""
    positions: Tensor
    """Place of each token within its text: int64 (T,)."""

    def whole(self, longest: int, window: int | None, *, causal: bool = False) -> Pairs:
        """Each text as one group of `longest` places."""
        places = torch.arange(longest, device=self.lengths.device)  # (L,)
        at = self._at(self.starts[:, None] + places)  # (n, L)
        return Pairs(
            query_at=at,
            key_at=at,
            query_place=places[None],
            key_place=places[None],
            is_key=places < self.lengths[:, None],
            place_of=self.text_of * longest + self.positions,
            window=window,
            causal=causal,
        )

    def tiled(self, longest: int, window: int | None, *, causal: bool = False) -> Pairs:
        """Each text as its tiles, each with the `longest` places of keys or those that a window can reach."""
        tokens, texts = self.text_of.shape[0], self.lengths.shape[0]
        raised = self.lengths + (TILE - 1)
        of_text = torch.div(raised, TILE, rounding_mode="trunc")  # (n,), in one operator
        ends = of_text.cumsum(0)  # (n,)
        number = torch.arange(tokens // TILE + texts, device=ends.device)  # (m,)
        text = (ends[None, :] <= number[:, None]).to(torch.int64).sum(1).clamp(max=texts - 1)  # (m,)
        begin, start = ends - of_text, self.starts[text]
        first = (number - begin[text]) * TILE  # (m,) place of a tile's first query within its text
        queries = first[:, None] + torch.arange(TILE, device=ends.device)  # (m, c)
        if window is None:
            keys = torch.arange(longest, device=ends.device)[None]  # (1, k)
        else:
            sides = 1 if causal else 2
            reach = torch.arange(TILE + sides * (window - 1), device=ends.device)  # (k,)
            keys = (first - (window - 1)).clamp(min=0)[:, None] + reach  # (m, k)
        return Pairs(
            query_at=self._at(start[:, None] + queries),
            key_at=self._at(start[:, None] + keys),
            query_place=queries,
            key_place=keys,
            is_key=keys < self.lengths[text][:, None],
            place_of=begin[self.text_of] * TILE + self.positions,
            window=window,
            causal=causal,
        )

    def _at(self, places: Tensor) -> Tensor:
        return places.clamp(max=self.text_of.shape[0] - 1)


def _taken(states: Tensor, at: Tensor) -> Tensor:
    heads, _, dim = states.shape
    return states.index_select(1, at.reshape(-1)).reshape(heads, *at.shape, dim)
