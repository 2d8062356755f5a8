"""T5 and MPNet: a learned number for each head and distance, added to the scores.

Both networks compute it once for all layers, T x T for a row of T tokens; on a pack it is for the pairs that meet.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .distances import by_distance, over_pairs
from .packed_attention import split_heads
from .replacing import Replacement, replaced

if TYPE_CHECKING:
    from transformers.models.mpnet.modeling_mpnet import MPNetSelfAttention

_MPNET_MAX_DISTANCE = 128  # where MPNet's last bucket begins; its configuration does not say


def t5_packed(model: PreTrainedModel, implementation: str) -> AbstractContextManager[None]:
    """Give T5's layers a bias over the pairs of a pack; they pass it to packed attention by themselves."""
    from transformers.models.mt5.modeling_mt5 import MT5Attention
    from transformers.models.t5.modeling_t5 import T5Attention
    from transformers.models.umt5.modeling_umt5 import UMT5Attention

    replacements: list[Replacement] = []
    for module in model.modules():
        if isinstance(module, (T5Attention, MT5Attention, UMT5Attention)) and module.has_relative_attention_bias:
            places = module.relative_attention_max_distance + 1
            square = module.compute_bias(places, places)  # type: ignore[no-untyped-call]
            replacements.append((module, "compute_bias", _bias(square)))
    return replaced(replacements)


def mpnet_packed(model: PreTrainedModel, implementation: str) -> AbstractContextManager[None]:
    """Give MPNet's layers a bias over the pairs of a pack, and let them attend as registered: by themselves they ask
    nobody."""
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder, MPNetSelfAttention

    replacements: list[Replacement] = []
    for module in model.modules():
        if isinstance(module, MPNetEncoder):
            shape = torch.empty(1, _MPNET_MAX_DISTANCE + 1)
            square = module.compute_position_bias(shape)  # type: ignore[no-untyped-call]
            replacements.append((module, "compute_position_bias", _bias(square)))
        elif isinstance(module, MPNetSelfAttention):
            replacements.append((module, "forward", partial(_mpnet_attention, implementation, module)))
    return replaced(replacements)


def _bias(square: Tensor) -> Callable[..., Tensor]:
    """What stands in for a network's computation of its bias, given that of its largest distance:
    (1, heads, m or 1, c, k)."""
    table = by_distance(square)  # (1, heads, 2 K + 1)
    return lambda *_, **__: over_pairs(table)


def _mpnet_attention(
    implementation: str,
    module: MPNetSelfAttention,
    hidden_states: Tensor,  # (1, T, H)
    attention_mask: Tensor | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor]:
    heads = module.num_attention_heads
    mixed, _weights = ALL_ATTENTION_FUNCTIONS[implementation](
        module,
        split_heads(module.q(hidden_states), heads),
        split_heads(module.k(hidden_states), heads),
        split_heads(module.v(hidden_states), heads),
        None,
        position_bias=position_bias,
    )
    return (module.o(mixed.flatten(2)),)
