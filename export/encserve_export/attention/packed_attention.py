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

from encserve_export.errors import Unsupported

from .fused_attention import fused_attention, is_fusing
from .packing import current_packing

IMPLEMENTATION = "packed"
_SAYING_NOTHING = ("deterministic", "dropout", "position_ids", "use_cache")
"""What networks pass to attention beside what it takes: of training, of generation, or what they have used already."""


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
    position_bias: Tensor | None = None,  # (1, heads, m or 1, c, k)
    score_bias: Callable[[Tensor, Tensor], Tensor] | None = None,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention of each text with itself; returns (1, T, heads, dim).

    softmax(q k^T * scaling + bias) v, Vaswani et al. 2017, equation 1. Written out rather than left to an operator, so
    that every runtime computes the same thing and a precision can be chosen for each part.

    Queries meet keys as the pack's `Pairs` say. `position_bias` is added to the scores as it is, `score_bias` after it
    was called with the queries and keys of the row, (heads, T, dim); it gives (heads, m, c, k). With `sliding_window` =
    w a token attends to those less than w places away from it; the direction of the pack says to which side.

    Raises:
        Unsupported: the network asks for something else, such as scores that are capped, or sinks.
    """
    if foreign := [name for name, value in others.items() if value is not None and name not in _SAYING_NOTHING]:
        raise Unsupported(
            f"{type(module).__name__} asks attention for {', '.join(foreign)}, which is not supported: what it asks "
            "for would be lost"
        )
    if attention_mask is not None:
        raise ValueError(f"{type(module).__name__} built an attention mask; packed attention makes its own")
    packing = current_packing()
    if is_causal is not None and is_causal != packing.direction.causal:
        raise ValueError(f"{type(module).__name__} says is_causal={is_causal}, and its family looks otherwise")
    heads, dim = query.shape[1], query.shape[3]
    scale = dim**-0.5 if scaling is None else scaling
    plain = score_bias is None and sliding_window is None and not packing.direction.causal
    if is_fusing() and plain and packing.attended is None:
        return fused_attention(query, key, value, packing, scale=scale, position_bias=position_bias), None

    pairs = packing.pairs(sliding_window)
    queries, keys, values = pairs.queries(query[0]), _of_all_heads(pairs.keys(key[0]), heads), pairs.keys(value[0])
    scores = (queries * scale) @ keys.transpose(2, 3)  # (heads, m, c, k)
    if position_bias is not None:
        scores = scores + position_bias[0]
    if score_bias is not None:
        scores = scores + score_bias(query[0], key[0])
    scores = scores.masked_fill(~pairs.seen, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1)
    if (
        packing.attended is not None
    ):  # a token may see none at all, and must not get the mean of all that lies beside it
        weights = weights.masked_fill(~pairs.seen, 0.0)
    mixed = weights @ _of_all_heads(values, heads)  # (heads, m, c, dim)
    return pairs.row(mixed).transpose(0, 1)[None], None


def _of_all_heads(states: Tensor, heads: int) -> Tensor:
    """(heads or fewer, ...) -> (heads, ...): each is shared by the same number of heads."""
    return states if states.shape[0] == heads else states.repeat_interleave(heads // states.shape[0], dim=0)


AttentionInterface.register(IMPLEMENTATION, packed_attention)
