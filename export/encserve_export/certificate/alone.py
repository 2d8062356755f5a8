"""One text alone through the network that was loaded, before anything is packed: what the guard compares a pack with.

Nothing here is shared with the packed graph but the checkpoint as encserve reads it: no packing, no mask, no other
text. Whether it is read rightly is for the certificate, which asks the library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from encserve_export.checkpoint.checkpoint import Checkpoint

_MODES: dict[str, Callable[[Tensor], Tensor]] = {
    "cls": lambda states: states[0],
    "lasttoken": lambda states: states[-1],
    "max": lambda states: states.amax(0),
    "mean": lambda states: states.mean(0),
    "mean_sqrt_len_tokens": lambda states: states.sum(0) / len(states) ** 0.5,
    "weightedmean": lambda states: torch.arange(1.0, len(states) + 1) @ states / sum(range(1, len(states) + 1)),
}


def _states(checkpoint: Checkpoint, input_ids: Sequence[int], types: Sequence[int] | None = None) -> Tensor:
    """The last hidden state of each token of one text or pair, float32 (t, H)."""
    row = torch.tensor([input_ids])
    typed = {} if types is None else {"token_type_ids": torch.tensor([types])}
    states: Tensor = checkpoint.encoder(input_ids=row, attention_mask=torch.ones_like(row), **typed).last_hidden_state
    return states[0]


def _token_vectors(checkpoint: Checkpoint, input_ids: Sequence[int], types: Sequence[int] | None = None) -> Tensor:
    """The states of one text after the dense layers that stand on tokens, float32 (t, H)."""
    states = _states(checkpoint, input_ids, types)
    for layer in checkpoint.modules.token_dense:
        states = layer(states)
    return states


@torch.inference_mode()
def vector_alone(checkpoint: Checkpoint, input_ids: Sequence[int], types: Sequence[int] | None = None) -> Tensor:
    """The pooled vector float32 (H,) of one text's token ids, before normalisation; of a pair with its token types."""
    vector = _MODES[checkpoint.modules.pooling](_token_vectors(checkpoint, input_ids, types))
    for layer in checkpoint.modules.dense:
        vector = layer(vector)
    return vector


@torch.inference_mode()
def rows_alone(checkpoint: Checkpoint, input_ids: Sequence[int], token_type_ids: Sequence[int] | None) -> Tensor:
    """What the graph should give for one text or pair: float32 (1, W), or one row for each token or mask."""
    if checkpoint.task.name == "feature-extraction":
        return vector_alone(checkpoint, input_ids)[None]
    if checkpoint.modules.scores:
        return vector_alone(checkpoint, input_ids, token_type_ids)[None]
    if checkpoint.task.name in ("token-embedding", "late-interaction"):
        return _token_vectors(checkpoint, input_ids)
    types = {} if token_type_ids is None else {"token_type_ids": torch.tensor([token_type_ids])}
    row = torch.tensor([input_ids])
    output = checkpoint.model(input_ids=row, attention_mask=torch.ones_like(row), **types)
    if "start_logits" in output:
        return torch.stack([output.start_logits[0], output.end_logits[0]], -1)  # (t, 2)
    logits: Tensor = output.logits
    if checkpoint.task.name == "sparse-embedding":
        weights = torch.log1p(torch.relu(logits))
        return (torch.log1p(weights) if checkpoint.modules.splade == "log1p_relu" else weights).amax(1)
    if checkpoint.task.follows == "lengths":
        return logits
    if checkpoint.task.follows == "mask_at":
        return logits[0][torch.tensor(input_ids) == checkpoint.tokenizer.mask_token_id]
    return logits[0]
