"""The checkpoint as transformers runs it: one text at a time, eager attention, FP32. What every graph is compared
with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .checkpoint import Checkpoint

_MODES: dict[str, Callable[[Tensor], Tensor]] = {
    "cls": lambda states: states[0],
    "lasttoken": lambda states: states[-1],
    "max": lambda states: states.amax(0),
    "mean": lambda states: states.mean(0),
    "mean_sqrt_len_tokens": lambda states: states.sum(0) / len(states) ** 0.5,
    "weightedmean": lambda states: torch.arange(1.0, len(states) + 1) @ states / sum(range(1, len(states) + 1)),
}


@torch.inference_mode()
def reference_vector(checkpoint: Checkpoint, input_ids: list[int]) -> Tensor:
    """The pooled vector float32 (H,) of one text's token ids, before normalisation.

    Nothing here is shared with the packed graph but the weights: no packing, no mask, no other text.
    """
    row = torch.tensor([input_ids])
    states = checkpoint.model(input_ids=row, attention_mask=torch.ones_like(row)).last_hidden_state[0]  # (t, H)
    vector = _MODES[checkpoint.modules.pooling](states)
    for layer in checkpoint.modules.dense:
        vector = layer(vector)
    return vector
