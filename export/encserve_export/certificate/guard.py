"""The guard that comes before everything else: no text of a pack may see another.

A model that does not use transformers' attention interface accepts the packed implementation in silence and lets texts
attend across each other, so the attention calls are counted, and a pack is compared with each of its texts alone. A
family that pads inside the graph has no such calls to count, and is compared all the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from transformers import AttentionInterface

from encserve_export.attention.encoding import attention
from encserve_export.attention.packed_attention import packed_attention
from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.errors import Unsupported
from encserve_export.network.packed_graph import PackedEncoder

from .alone import vector_alone

_COUNTED = "packed-counted"
_PROBE_LENGTHS = (3, 21, 1, 34, 8, 2)
_LONGEST_PROBE = 160
"""Tokens of the longest text of the probe: beyond the distances that T5, MPNet and DeBERTa tell apart. Where there are
windows, it has so many more than a window."""
_LARGEST_DIFFERENCE = 1e-3
"""Of vectors scaled to length 1. Rounding stays below 1e-5; a text that sees another differs by 0.1 and more."""


@torch.inference_mode()
def check_texts_are_apart(checkpoint: Checkpoint) -> None:
    """Run a probe pack through the packed network and each of its texts alone through the reference.

    Raises:
        Unsupported: a layer did not attend packed, or a text's vector depends on its neighbours.
    """
    if checkpoint.modules.scores:  # one number, of which only the sign would be compared
        checkpoint = replace(checkpoint, modules=replace(checkpoint.modules, dense=()))
    longest = _LONGEST_PROBE + (getattr(checkpoint.config, "sliding_window", None) or 0)
    lengths = [min(length, checkpoint.max_length) for length in (*_PROBE_LENGTHS, longest)]
    input_ids = _probe_tokens(checkpoint, sum(lengths))

    calls = 0

    def counted(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return packed_attention(module, *args, **kwargs)

    AttentionInterface.register(_COUNTED, counted)
    with attention(checkpoint.encoder, _COUNTED):
        together = PackedEncoder(checkpoint)(input_ids, torch.tensor(lengths))  # (n, H)
    layers = checkpoint.config.num_hidden_layers
    if not checkpoint.family.padded and calls != layers:
        raise Unsupported(
            f"{type(checkpoint.model).__name__} attended packed in {calls} of its {layers} layers; "
            "texts of one batch would see each other"
        )

    alone = torch.stack([vector_alone(checkpoint, ids.tolist()) for ids in torch.split(input_ids, lengths)])
    difference = (_unit(together) - _unit(alone)).abs().amax(1)
    if not difference.max() <= _LARGEST_DIFFERENCE:  # also true of NaN
        worst = int(difference.nan_to_num(torch.inf).argmax())
        raise Unsupported(
            f"{type(checkpoint.model).__name__} run packed differs from each text alone: by {difference[worst]:.1e} "
            f"for a text of {lengths[worst]} tokens, allowed is {_LARGEST_DIFFERENCE:.0e}"
        )


def _probe_tokens(checkpoint: Checkpoint, count: int) -> torch.Tensor:
    """Random token ids int64 (count,), the special ones among them: networks count padding and mask tokens."""
    generator = torch.Generator().manual_seed(0)
    input_ids = torch.randint(checkpoint.config.vocab_size, (count,), generator=generator)
    special = torch.tensor(sorted(checkpoint.tokenizer.all_special_ids), dtype=torch.int64)
    input_ids[torch.randperm(count, generator=generator)[: len(special)]] = special[:count]
    return input_ids


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)
