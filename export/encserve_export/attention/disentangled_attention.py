"""DeBERTa v2 and v3: disentangled attention and its convolution, on a pack.

The scores get a bias that depends on queries and keys (He et al. 2021, equation 4): content to position and position to
content.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .distances import by_distance, over_pairs
from .packed_attention import split_heads
from .packing import current_packing
from .replacing import Replacement, replaced

if TYPE_CHECKING:
    from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Encoder, DisentangledSelfAttention


def deberta_v2_packed(model: PreTrainedModel, implementation: str) -> AbstractContextManager[None]:
    """Let DeBERTa v2 attend as registered, measure distances within a text, and not convolve across texts."""
    from transformers.models.deberta_v2.modeling_deberta_v2 import (
        ConvLayer,
        DebertaV2Encoder,
        DisentangledSelfAttention,
    )

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
    """What stands in for the encoder's buckets of distances: (1, m or 1, c, k)."""
    largest = 2 * encoder.max_relative_positions  # well past where the last bucket begins
    square = encoder.get_rel_pos(torch.empty(largest + 1, 1))  # type: ignore[no-untyped-call]  # reads only the shape
    table = by_distance(square)
    return lambda *_: over_pairs(table)


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
    mixed, _weights = ALL_ATTENTION_FUNCTIONS[implementation](
        module,
        split_heads(module.query_proj(hidden_states if query_states is None else query_states), heads),
        split_heads(module.key_proj(hidden_states), heads),
        split_heads(module.value_proj(hidden_states), heads),
        None,
        scaling=_scaling(module),
        score_bias=_bias(module, relative_pos, rel_embeddings) if module.relative_attention else None,
    )
    return mixed.flatten(2), None


def _scaling(module: DisentangledSelfAttention) -> float:
    """The scores of contents and those of positions are added up, and scaled as one."""
    kinds = 1 + sum(kind in module.pos_att_type for kind in ("c2p", "p2c"))
    return float((module.attention_head_size * kinds) ** -0.5)


def _bias(
    module: DisentangledSelfAttention, buckets: Tensor | None, rel_embeddings: Tensor | None
) -> Callable[[Tensor, Tensor], Tensor]:
    """What positions add to the scores, given the buckets of distances (1, m or 1, c, k) and the embeddings of buckets
    (2 S, H).

    The network's own code takes a text as a whole: it looks up what a key says of a query's position by the distance
    the other way round, whose bucket has the same number with the other sign.
    """
    assert buckets is not None
    assert rel_embeddings is not None
    pairs, span = current_packing().pairs(), module.pos_ebd_size
    embeddings = rel_embeddings[: 2 * span]
    bucket = (buckets[0].to(torch.int64) + span).clamp(0, 2 * span - 1)  # (m or 1, c, k)

    def looked_up(states: Tensor, at: Tensor, own: str, shared: nn.Linear) -> Tensor:
        """What each token (heads, T, dim) says of each bucket, at the tokens (m, c or 1, 1 or k): (heads, m, c, k)."""
        projected: Tensor = (shared if module.share_att_key else getattr(module, own))(embeddings)
        of_buckets = projected.reshape(2 * span, module.num_attention_heads, -1).permute(1, 2, 0)  # (heads, dim, 2 S)
        said = (states @ of_buckets).flatten(1)  # (heads, T * 2 S)
        index = at * (2 * span) + bucket  # (m, c, k)
        return said.index_select(1, index.flatten()).reshape(-1, *index.shape)

    def bias(query: Tensor, key: Tensor) -> Tensor:  # (heads, T, dim) twice -> (heads, m, c, k)
        added = []
        if "c2p" in module.pos_att_type:
            added.append(looked_up(query, pairs.query_at[:, :, None], "pos_key_proj", module.key_proj))
        if "p2c" in module.pos_att_type:
            added.append(looked_up(key, pairs.key_at[:, None, :], "pos_query_proj", module.query_proj))
        return sum(added, torch.zeros(())) * _scaling(module)

    return bias


def _convolution(conv: nn.Conv1d, row: Tensor) -> Tensor:
    """The convolution of each text by itself, with zeros on either side of it: (1, H, T) -> (1, H, T)."""
    packing = current_packing()
    padded = packing.pad(row[0].T).masked_fill(~packing.is_token[..., None], 0.0)  # (n, L, H)
    mixed: Tensor = type(conv).forward(conv, padded.transpose(1, 2))  # (n, H, L)
    return packing.unpad(mixed.transpose(1, 2)).T[None]
