"""Running an encoder of any family on a pack: token ids of all texts in, one state for each token out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from .families import Family, family_of
from .packed_attention import IMPLEMENTATION
from .packing import Packing, attending


def token_states(
    model: PreTrainedModel, input_ids: Tensor, packing: Packing, token_type_ids: Tensor | None = None
) -> Tensor:
    """The last hidden state of each token (T, H), out of the token ids int64 (T,) of all texts.

    Token types int64 (T,) tell the two texts of a pair apart; they are 0 without.
    """
    inputs, family = encoder_inputs(model, input_ids, packing, token_type_ids), family_of(model.config)
    with attending(packing.facing(family.direction(model.config))):
        states = model(**inputs).last_hidden_state  # (1, T, H) or (n, L, H)
    return packing.unpad(states) if family.padded else states[0]


def encoder_inputs(
    model: PreTrainedModel, input_ids: Tensor, packing: Packing, token_type_ids: Tensor | None = None
) -> dict[str, Tensor]:
    """What the encoder takes, by name: rows (1, T), or padded (n, L) with a mask where the family cannot attend
    packed."""
    family = family_of(model.config)
    inputs = {"input_ids": input_ids}
    if family.first_position is not None:
        inputs["position_ids"] = _position_ids(family, model.config, input_ids, packing)
    if family.token_types:
        inputs["token_type_ids"] = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
    if not family.padded:
        return {name: row[None] for name, row in inputs.items()}
    padding = {"input_ids": model.config.pad_token_id or 0}
    padded = {
        name: packing.pad(row).masked_fill(~packing.is_token, padding.get(name, 0)) for name, row in inputs.items()
    }
    keys = packing.is_token if packing.attended is None else packing.is_token & packing.pad(packing.attended)
    return padded | {"attention_mask": keys.to(torch.int64)}


def _position_ids(family: Family, config: PreTrainedConfig, input_ids: Tensor, packing: Packing) -> Tensor:
    """The position id of each token: int64 (T,)."""
    assert family.first_position is not None
    first = family.first_position(config)
    if not family.skips_padding:
        return packing.positions + first
    return packing.counting(input_ids != first - 1) + first - 1  # padding has the position id first - 1


@contextmanager
def attention(model: PreTrainedModel, implementation: str = IMPLEMENTATION) -> Iterator[None]:
    """Let `model` attend as registered under `implementation` for a while; the reference, its own weights, is eager."""
    family = family_of(model.config)
    through_interface = not (family.padded or family.own_attention)
    with family.while_packed(model, implementation):
        if through_interface:
            model.set_attn_implementation(implementation)
        try:
            yield
        finally:
            if through_interface:
                model.set_attn_implementation("eager")
