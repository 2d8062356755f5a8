"""DeBERTa v2 and v3: disentangled attention and its convolution, on a pack.

The scores get a bias that depends on queries and keys (He et al. 2021, equation 4): content to position and position to
content. The network's own code computes it, on the padded queries and keys of packed attention.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.deberta_v2.modeling_deberta_v2 import ConvLayer, DebertaV2Encoder, DisentangledSelfAttention

from .distances import by_distance, over_longest_text
from .packed_attention import split_heads
from .packing import current_packing
from .replacing import Replacement, replaced


def deberta_v2_packed(model: PreTrainedModel, implementation: str) -> AbstractContextManager[None]:
    """Let DeBERTa v2 attend as registered, measure distances within a text, and not convolve across texts."""
    replacements: list[Replacement] = []
    for module in model.modules():
        if isinstance(module, DebertaV2Encoder):
            # The mask that it would build from T ones is T x T; packed attention makes its own.
            replacements.append((module, "get_attention_mask", lambda mask: mask))
            if module.relative_attention:
                replacements.append((module, "get_rel_pos", _distances(module)))
        elif isinstance(module, DisentangledSelfAttention):
            replacements.append((module, "forward", partial(_attention, implementation, module)))
        elif isinstance(module, ConvLayer):
            replacements.append((module.conv, "forward", partial(_convolution, module.conv)))
    return replaced(replacements)


def _distances(encoder: DebertaV2Encoder) -> Callable[..., Tensor]:
    """What stands in for the encoder's buckets of distances (1, L, L)."""
    largest = 2 * encoder.max_relative_positions  # well past where the last bucket begins
    square = encoder.get_rel_pos(torch.empty(largest + 1, 1))  # type: ignore[no-untyped-call]  # reads only the shape
    table = by_distance(square)
    return lambda *_: over_longest_text(table)


def _attention(
    implementation: str,
    module: DisentangledSelfAttention,
    hidden_states: Tensor,  # (1, T, H)
    attention_mask: Tensor,
    output_attentions: bool = False,
    query_states: Tensor | None = None,
    relative_pos: Tensor | None = None,
    rel_embeddings: Tensor | None = None,
) -> tuple[Tensor, None]:
    heads = module.num_attention_heads
    kinds = 1 + sum(kind in module.pos_att_type for kind in ("c2p", "p2c"))  # of scores that are added up

    def position_scores(query: Tensor, key: Tensor) -> Tensor:  # (heads, n, L, dim) -> (heads, n, L, L)
        query, key = (states.transpose(0, 1).flatten(0, 1) for states in (query, key))  # (n * heads, L, dim)
        bias: Tensor = module.disentangled_attention_bias(  # type: ignore[no-untyped-call]
            query, key, relative_pos, rel_embeddings, kinds
        )
        return bias.reshape(-1, heads, *bias.shape[1:]).transpose(0, 1)

    mixed, _weights = ALL_ATTENTION_FUNCTIONS[implementation](
        module,
        split_heads(module.query_proj(hidden_states if query_states is None else query_states), heads),
        split_heads(module.key_proj(hidden_states), heads),
        split_heads(module.value_proj(hidden_states), heads),
        None,
        scaling=(module.attention_head_size * kinds) ** -0.5,
        score_bias=position_scores if module.relative_attention else None,
    )
    return mixed.flatten(2), None


def _convolution(conv: nn.Conv1d, row: Tensor) -> Tensor:
    """The convolution of each text by itself, with zeros on either side of it: (1, H, T) -> (1, H, T)."""
    packing = current_packing()
    padded = packing.pad(row[0].T).masked_fill(~packing.is_token[..., None], 0.0)  # (n, L, H)
    mixed: Tensor = type(conv).forward(conv, padded.transpose(1, 2))  # (n, H, L)
    return packing.unpad(mixed.transpose(1, 2)).T[None]
