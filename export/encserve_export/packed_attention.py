"""Attention over a pack, registered with transformers as the attention implementation "packed".

transformers hands every attention layer of a model that supports its attention interface to one function. Ours is the
only place of the whole network where texts are told apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from .fused_attention import fused_attention, is_fusing
from .packing import Packing, current_packing

IMPLEMENTATION = "packed"


def split_heads(states: Tensor, heads: int) -> Tensor:
    """(1, T, heads * dim) -> (1, heads, T, dim), as attention takes queries, keys and values."""
    return states.reshape(*states.shape[:2], heads, -1).transpose(1, 2)


def packed_attention(
    module: nn.Module,
    query: Tensor,  # (1, heads, T, dim)
    key: Tensor,  # (1, heads, T, dim), or fewer heads, each shared by several of the query's
    value: Tensor,  # (1, heads, T, dim), likewise
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    position_bias: Tensor | None = None,  # (1, heads, L, L)
    score_bias: Callable[[Tensor, Tensor], Tensor] | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention of each text with itself; returns (1, T, heads, dim).

    softmax(q k^T * scaling + bias) v, Vaswani et al. 2017, equation 1. Written out rather than left to an operator, so
    that every runtime computes the same thing and a precision can be chosen for each part.

    `position_bias` is added to the scores as it is, `score_bias` after it was called with the padded queries and keys
    (heads, n, L, dim). With `sliding_window` = w a token attends to those less than w places away from it.
    """
    if attention_mask is not None:
        raise ValueError(f"{type(module).__name__} built an attention mask; packed attention makes its own")
    packing = current_packing()
    n, longest = packing.is_token.shape
    heads, dim = query.shape[1], query.shape[3]
    scale = dim**-0.5 if scaling is None else scaling
    if is_fusing() and score_bias is None and sliding_window is None:
        return fused_attention(query, key, value, packing, scale=scale, position_bias=position_bias), None

    def pad(states: Tensor) -> Tensor:  # (1, heads or fewer, T, dim) -> (heads, n, L, dim)
        padded = states[0].index_select(1, packing.token_at.reshape(-1)).reshape(-1, n, longest, dim)
        return padded if states.shape[1] == heads else padded.repeat_interleave(heads // states.shape[1], dim=0)

    padded_query, padded_key = pad(query), pad(key)
    scores = (padded_query * scale) @ padded_key.transpose(2, 3)
    if position_bias is not None:
        scores = scores + position_bias.transpose(0, 1)  # (heads, 1, L, L)
    if score_bias is not None:
        scores = scores + score_bias(padded_query, padded_key)
    scores = scores.masked_fill(~_attended(packing, sliding_window), torch.finfo(scores.dtype).min)  # (heads, n, L, L)
    mixed = scores.softmax(-1) @ pad(value)  # (heads, n, L, dim)
    row = mixed.reshape(heads, -1, dim).index_select(1, packing.place_of)  # (heads, T, dim)
    return row.transpose(0, 1)[None], None


def _attended(packing: Packing, sliding_window: int | None) -> Tensor:
    """Which places of its text each place attends to: bool (1, n, 1 or L, L)."""
    if sliding_window is None:
        return packing.is_token[None, :, None, :]
    place = torch.arange(packing.is_token.shape[1], device=packing.is_token.device)  # (L,)
    near = (place[:, None] - place[None, :]).abs() < sliding_window  # (L, L)
    return packing.is_token[None, :, None, :] & near


AttentionInterface.register(IMPLEMENTATION, packed_attention)
