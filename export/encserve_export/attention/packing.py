"""The geometry of a pack: texts of different lengths laid end to end in one row of tokens.

Linear layers and norms work on the row as it is. Only attention and pooling need to know where a text begins and ends;
they borrow a padded view of the row, (n, L), through the two index tensors below, and give the row back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from .direction import BOTH_WAYS, Direction
from .pairs import TILE, Pairs, Texts


@dataclass(frozen=True)
class Packing:
    """Where each token of a pack of n texts and T tokens lies; L is the length of the longest text."""

    texts: Texts
    """Where each text begins and ends."""
    token_at: Tensor
    """Index into the row of the token that fills each padded place: int64 (n, L). Places past a text's end hold some
    valid index; `is_token` tells them apart."""
    place_of: Tensor
    """Index into the flattened padded view (n * L) of each token: int64 (T,)."""
    is_token: Tensor
    """Which padded places hold a token: bool (n, L)."""
    tiled: bool = False
    """Whether attention takes texts in tiles, and not each as a whole."""
    direction: Direction = BOTH_WAYS
    """Where tokens look within their text."""
    attended: Tensor | None = None
    """Which tokens others attend to: bool (T,); all of them without. The others attend, too."""
    pooled: Tensor | None = None
    """Which tokens a mean is of: bool (T,); all of them without."""
    _pairs: dict[int | None, Pairs] = field(default_factory=dict)

    @property
    def lengths(self) -> Tensor:
        """Tokens of each text: int64 (n,)."""
        return self.texts.lengths

    @property
    def positions(self) -> Tensor:
        """Place of each token within its own text, from 0: int64 (T,)."""
        return self.texts.positions

    def counting(self, counted: Tensor) -> Tensor:
        """Place of each token among those of its own text that are `counted`, bool (T,), from 1; 0 for the others:
        int64 (T,)."""
        counts = counted.to(torch.int64)
        before = counts.cumsum(0) - counts  # (T,) tokens that count, from the start of the row
        start = torch.arange(counts.shape[0], device=counts.device) - self.positions  # (T,) of the token's text
        return (before - before[start] + 1) * counts

    def facing(self, direction: Direction) -> Packing:
        """The same pack for a network whose tokens look there."""
        return self if direction == self.direction else replace(self, direction=direction, _pairs={})

    def attending_to(self, attention_mask: Tensor | None) -> Packing:
        """The same pack where no token attends to those at which `attention_mask` int64 (T,) is 0; unlike those that
        pad a text they are part of it, and have an answer themselves."""
        return self if attention_mask is None else replace(self, attended=attention_mask != 0, _pairs={})

    def pooling(self, pooling_mask: Tensor | None) -> Packing:
        """The same pack where no mean is of the tokens at which `pooling_mask` int64 (T,) is 0."""
        return self if pooling_mask is None else replace(self, pooled=pooling_mask != 0)

    def pairs(self, window: int | None = None) -> Pairs:
        """Which queries meet which keys; in a layer with a window those less than so many places apart, or just so many
        where the direction says so."""
        if window not in self._pairs:
            laid_out = self.texts.tiled if self.tiled else self.texts.whole
            reach, causal = self.direction.reach(window), self.direction.causal
            pairs = laid_out(self.is_token.shape[1], reach, causal=causal)
            self._pairs[window] = pairs if self.attended is None else pairs.only(self.attended)
        return self._pairs[window]

    @cached_property
    def cumulative_lengths(self) -> Tensor:
        """Tokens before each text, and of all: int32 (n + 1,). The `cu_seqlens` of flash attention."""
        ends = self.lengths.cumsum(0)  # (n,)
        return torch.cat([torch.zeros_like(ends[:1]), ends]).to(torch.int32)

    @cached_property
    def token_offset(self) -> Tensor:
        """The padded places in the order of the row, then those that hold no token: int32 (n, L), in one sequence."""
        n, longest = self.is_token.shape
        ends = self.lengths.cumsum(0)[:, None]  # (n, 1)
        place = torch.arange(n * longest, device=ends.device).reshape(n, longest)
        # Before a place past the end of its text stand all tokens of the pack, and of the places before it those that
        # hold none.
        order = torch.where(self.is_token, self.token_at, self.place_of.shape[0] + place - ends)
        return torch.zeros_like(place).flatten().scatter(0, order.flatten(), place.flatten()).reshape(n, longest).int()

    def pad(self, rows: Tensor) -> Tensor:
        """(T, H) -> (n, L, H); what stands past the end of a text is another token's row."""
        return rows[self.token_at]

    def unpad(self, padded: Tensor) -> Tensor:
        """(n, L, H) -> (T, H)."""
        return padded.flatten(0, 1).index_select(0, self.place_of)


_constant_longest: ContextVar[int | None] = ContextVar("constant longest text", default=None)


@contextmanager
def constant_longest(longest: int) -> Iterator[None]:
    """Let L be `longest` in every pack that is laid out meanwhile, or its tokens T where these are less.

    TensorRT takes no shape from data. A text that is longer gets wrong numbers, so lengths must be limited before.
    """
    token = _constant_longest.set(longest)
    try:
        yield
    finally:
        _constant_longest.reset(token)


def packing_of(lengths: Tensor, token_count: int) -> Packing:
    """Lay out texts of `lengths` int64 (n,) in a row of `token_count` tokens.

    Texts of no tokens are allowed. Traceable: the token count and n stay symbolic, and L is read from the data, or is
    the constant of `constant_longest`.
    """
    constant = _constant_longest.get()
    ends = lengths.cumsum(0)  # (n,)
    starts = ends - lengths  # (n,)
    if constant is not None:
        # TensorRT adds up nothing while it scatters: a token's text is the number of texts that end before it.
        place = torch.arange(token_count, device=lengths.device)  # (T,)
        text_of = (ends[None, :] <= place[:, None]).to(torch.int64).sum(1)  # (T,)
        most = torch.sym_min(constant, token_count)  # type: ignore[no-untyped-call]
        # Of texts that are shorter than two tiles the whole is not more than tiles would be.
        return _packing(lengths, starts, text_of, most, tiled=constant >= 2 * TILE)
    longest = cast("int", lengths.max().item())  # symbolic while it is traced
    torch._check(longest >= 1)  # type: ignore[no-untyped-call]
    torch._check(longest <= token_count)  # type: ignore[no-untyped-call]

    # One mark at each start, one place past the last token so that empty texts at the end still have somewhere to
    # stand.
    marks = torch.zeros(token_count + 1, dtype=torch.int64, device=lengths.device)
    marks = marks.scatter_add(0, starts, torch.ones_like(starts))  # (T + 1,)
    text_of = marks.cumsum(0)[:token_count] - 1  # (T,) the last text that starts at or before the token
    return _packing(lengths, starts, text_of, longest)


def _packing(lengths: Tensor, starts: Tensor, text_of: Tensor, longest: int, *, tiled: bool = False) -> Packing:
    """The layout, out of where each text starts (n,) and which text each token belongs to (T,)."""
    positions = torch.arange(text_of.shape[0], device=lengths.device) - starts[text_of]  # (T,)
    texts = Texts(lengths=lengths, starts=starts, text_of=text_of, positions=positions)
    whole = texts.whole(longest, None)
    return Packing(
        texts=texts,
        token_at=whole.query_at,
        place_of=whole.place_of,
        is_token=whole.is_key,
        tiled=tiled,
        _pairs={} if tiled else {None: whole},
    )


_current: ContextVar[Packing] = ContextVar("packing")


@contextmanager
def attending(packing: Packing) -> Iterator[None]:
    """Make `packing` the one that packed attention sees; models pass no such argument through their layers."""
    token = _current.set(packing)
    try:
        yield
    finally:
        _current.reset(token)


def current_packing() -> Packing:
    """The packing of the forward pass that is running."""
    return _current.get()
