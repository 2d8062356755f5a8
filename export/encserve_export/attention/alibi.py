"""JinaBERT's scores that fall with distance, for the pairs of a pack."""

from __future__ import annotations

from contextlib import AbstractContextManager

from torch import Tensor
from transformers import PreTrainedModel

from .packing import current_packing
from .replacing import Replacement, replaced


def alibi_packed(model: PreTrainedModel, implementation: str) -> AbstractContextManager[None]:
    """Give the network a bias over the pairs of a pack; its layers pass it to packed attention by themselves."""
    from encserve_export.reference.networks.jina_bert import JinaBertV2Model

    replacements: list[Replacement] = [
        (module, "position_bias", lambda length, module=module: _over_pairs(module.slopes()))
        for module in model.modules()
        if isinstance(module, JinaBertV2Model)
    ]
    return replaced(replacements)


def _over_pairs(slopes: Tensor) -> Tensor:
    """(heads,) -> (1, heads, m or 1, c, k)."""
    distance = current_packing().pairs().distance.abs()
    return -slopes[None, :, None, None, None] * distance.to(slopes.dtype)
