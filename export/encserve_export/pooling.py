"""From token vectors to one vector for each text: (T, H) -> (n, H)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .packing import Packing


def _mean(states: Tensor, packing: Packing) -> Tensor:
    padded = packing.pad(states).masked_fill(~packing.is_token[..., None], 0.0)  # (n, L, H)
    return padded.sum(1) / packing.lengths.clamp(min=1)[:, None].to(states.dtype)


def _cls(states: Tensor, packing: Packing) -> Tensor:
    return states[packing.token_at[:, 0]]


def _max(states: Tensor, packing: Packing) -> Tensor:
    padded = packing.pad(states).masked_fill(~packing.is_token[..., None], torch.finfo(states.dtype).min)  # (n, L, H)
    return padded.amax(1)


POOLINGS: dict[str, Callable[[Tensor, Packing], Tensor]] = {"cls": _cls, "max": _max, "mean": _mean}
