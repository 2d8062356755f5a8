"""Attention over a pack, registered with transformers as the attention implementation "packed".

transformers hands every attention layer of a model that supports its attention interface to one function. Ours is the
only place of the whole network where texts are told apart.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from .packing import current_packing

IMPLEMENTATION = "packed"


def packed_attention(
    module: nn.Module,
    query: Tensor,  # (1, heads, T, dim)
    key: Tensor,  # (1, heads, T, dim)
    value: Tensor,  # (1, heads, T, dim)
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention of each text with itself; returns (1, T, heads, dim).

    softmax(q k^T * scaling) v, Vaswani et al. 2017, equation 1. Written out rather than left to an operator, so that
    every runtime computes the same thing and a precision can be chosen for each part.
    """
    if attention_mask is not None:
        raise ValueError(f"{type(module).__name__} built an attention mask; packed attention makes its own")
    packing = current_packing()
    n, longest = packing.is_token.shape
    heads, dim = query.shape[1], query.shape[3]

    def pad(states: Tensor) -> Tensor:  # (1, heads, T, dim) -> (heads, n, L, dim)
        return states[0].index_select(1, packing.token_at.reshape(-1)).reshape(heads, n, longest, dim)

    query = query * (dim**-0.5 if scaling is None else scaling)
    scores = pad(query) @ pad(key).transpose(2, 3)  # (heads, n, L, L)
    scores = scores.masked_fill(~packing.is_token[None, :, None, :], torch.finfo(scores.dtype).min)
    mixed = scores.softmax(-1) @ pad(value)  # (heads, n, L, dim)
    row = mixed.reshape(heads, -1, dim).index_select(1, packing.place_of)  # (heads, T, dim)
    return row.transpose(0, 1)[None], None


AttentionInterface.register(IMPLEMENTATION, packed_attention)
