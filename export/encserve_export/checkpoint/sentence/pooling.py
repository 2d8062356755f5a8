"""From token vectors to one vector for each text: (T, H) -> (n, H)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from encserve_export.attention.packing import Packing


def _sum(states: Tensor, packing: Packing) -> Tensor:
    return packing.pad(states).masked_fill(~packing.is_token[..., None], 0.0).sum(1)


def _counts(packing: Packing, states: Tensor) -> Tensor:
    return packing.lengths.clamp(min=1)[:, None].to(states.dtype)  # (n, 1); an empty text has no say


def _sum_and_count(states: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
    """Of the tokens of each text that count, (n, H) and (n, 1)."""
    if packing.pooled is None:
        return _sum(states, packing), _counts(packing, states)
    counted = packing.pooled[:, None].to(states.dtype)  # (T, 1)
    return _sum(states * counted, packing), _sum(counted, packing).clamp(min=1)


def _mean(states: Tensor, packing: Packing) -> Tensor:
    total, count = _sum_and_count(states, packing)
    return total / count


def _mean_sqrt_len_tokens(states: Tensor, packing: Packing) -> Tensor:
    total, count = _sum_and_count(states, packing)
    return total / count.sqrt()


def _weightedmean(states: Tensor, packing: Packing) -> Tensor:
    """Later tokens count more: the first once, the second twice, ... (SGPT, Muennighoff 2022)."""
    count = _counts(packing, states)
    weights = (packing.positions + 1)[:, None].to(states.dtype)  # (T, 1)
    return _sum(states * weights, packing) / (count * (count + 1) / 2)


def _lasttoken(states: Tensor, packing: Packing) -> Tensor:
    last = packing.token_at[:, 0] + (packing.lengths - 1).clamp(min=0)
    return states[last]


def _cls(states: Tensor, packing: Packing) -> Tensor:
    return states[packing.token_at[:, 0]]


def _max(states: Tensor, packing: Packing) -> Tensor:
    padded = packing.pad(states).masked_fill(~packing.is_token[..., None], torch.finfo(states.dtype).min)  # (n, L, H)
    return padded.amax(1)


WITHOUT_PROMPT = ("mean", "mean_sqrt_len_tokens")
"""Those that can leave out the tokens of a prompt."""

POOLINGS: dict[str, Callable[[Tensor, Packing], Tensor]] = {
    "cls": _cls,
    "lasttoken": _lasttoken,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_len_tokens,
    "weightedmean": _weightedmean,
}
"""By the names of sentence-transformers."""
