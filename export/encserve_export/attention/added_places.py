"""BART and its kin: what is added to a token's embedding for its place in its text, counted within a pack.

Their encoders take no position ids: they count the places of a row by themselves, where a pack holds many texts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from .packing import current_packing
from .replacing import Replacement, replaced


def places_packed(model: PreTrainedModel, implementation: str) -> AbstractContextManager[None]:
    """Let such a network look up the places of tokens within their own texts."""
    replacements: list[Replacement] = []
    for module in model.modules():
        for kind, looked_up in _ways_to_look_up().items():
            if isinstance(module, kind):
                replacements.append((module, "forward", partial(looked_up, module)))
    return replaced(replacements)


def _ways_to_look_up() -> dict[type[nn.Module], Callable[..., Tensor]]:
    from transformers.models.bart.modeling_bart import BartLearnedPositionalEmbedding
    from transformers.models.m2m_100.modeling_m2m_100 import M2M100SinusoidalPositionalEmbedding
    from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding
    from transformers.models.mbart.modeling_mbart import MBartLearnedPositionalEmbedding
    from transformers.models.pegasus.modeling_pegasus import PegasusSinusoidalPositionalEmbedding

    return {
        BartLearnedPositionalEmbedding: _learned,
        MBartLearnedPositionalEmbedding: _learned,
        MarianSinusoidalPositionalEmbedding: _sinusoidal,
        PegasusSinusoidalPositionalEmbedding: _sinusoidal,
        M2M100SinusoidalPositionalEmbedding: _counted,
    }


def _learned(module: Any, *_: Any, **__: Any) -> Tensor:
    """(1, T, d); the first rows of the table are those of no place."""
    return module.weight[current_packing().positions + module.offset][None]  # type: ignore[no-any-return]


def _sinusoidal(module: Any, *_: Any, **__: Any) -> Tensor:
    """(1, T, d)."""
    return module.weight[current_packing().positions][None]  # type: ignore[no-any-return]


def _counted(module: Any, input_ids: Tensor, *_: Any, **__: Any) -> Tensor:
    """(1, T, d): padding tokens within a text are not counted, and have no place."""
    places = current_packing().counting(input_ids[0] != module.padding_idx)
    return module.weights[places + module.padding_idx][None]  # type: ignore[no-any-return]
