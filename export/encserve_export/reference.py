"""The checkpoint as transformers runs it: one text at a time, eager attention, FP32. What every graph is compared
with."""

from __future__ import annotations

import torch
from torch import Tensor

from .checkpoint import Checkpoint

_MODES = {
    "cls": lambda states: states[0],
    "max": lambda states: states.amax(0),
    "mean": lambda states: states.mean(0),
}


@torch.inference_mode()
def reference_vector(checkpoint: Checkpoint, input_ids: list[int]) -> Tensor:
    """The pooled vector float32 (H,) of one text's token ids, before normalisation.

    Nothing here is shared with the packed graph but the weights: no packing, no mask, no other text.
    """
    states = checkpoint.model(input_ids=torch.tensor([input_ids])).last_hidden_state[0]  # (t, H)
    vector: Tensor = _MODES[checkpoint.modules.pooling](states)
    for layer in checkpoint.modules.dense:
        vector = layer(vector)
    return vector
