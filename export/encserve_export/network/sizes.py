"""The sizes of a network by which the memory of its micro-batches goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transformers import PreTrainedConfig

from encserve_export.attention.families import family_of

if TYPE_CHECKING:
    from encserve_export.checkpoint.checkpoint import Checkpoint

_INNER = ("intermediate_size", "d_ff", "hidden_dim")
"""What families call the width of their feed-forward part."""
_DISTANCES = 6
"""Numbers of each pair of places, as wide as FP32, by which a bias of distances is looked up: integers of 64 bits."""
_DISENTANGLED = 6
"""Further numbers of each head and pair where positions have scores of their own: looked up, and added up."""
_SEEN = 1
"""Where there are windows, or tokens look back only: four bytes that say whether the one attends to the other."""
_NARROW = 4
"""Arrays as wide as the ranks of all adapters of a layer."""
_VOCABULARY_ROWS = 4
"""Arrays as wide as a vocabulary that live at once in a head that gives a weight to each of its tokens."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of a network."""

    width: int
    """Of its states, or of its queries where these are wider."""
    inner: int
    """Of its feed-forward part."""
    heads: int
    of_each_pair: int = 0
    """Numbers that lie there for each pair of places of the longest text, whatever is cut."""
    head: int = 0
    """Numbers of each place that the head computes beside its answer."""
    biased: bool = False
    """Whether a learned number for each head and distance is added to the scores."""
    adapted: int = 0
    """Numbers of each token that adapters compute beside a layer."""
    padded: bool = False
    """Whether the network pads all of its states, and not those of attention alone."""


def sizes_of(checkpoints: Sequence[Checkpoint]) -> Sizes:
    """Of the encoder that `checkpoints` share, and their heads."""
    config = checkpoints[0].config
    hidden, heads = int(config.hidden_size), int(config.num_attention_heads)
    dim = _head_width(config) or hidden // heads
    inner = next((int(value) for name in _INNER if (value := getattr(config, name, None))), 4 * hidden)
    sparse = [each.dimensions for each in checkpoints if each.task.name == "sparse-embedding"]
    return Sizes(
        width=max(hidden, heads * dim),
        inner=inner,
        heads=heads,
        of_each_pair=_of_each_pair(config, heads),
        head=_VOCABULARY_ROWS * sum(sparse) + sum(each.entities.passing for each in checkpoints if each.entities),
        biased=_is_biased(config),
        adapted=max(_of_adapters(checkpoints[0]), default=0),
        padded=family_of(config).padded,
    )


def _of_adapters(checkpoint: Checkpoint) -> list[int]:
    """Of each adapted layer: what is added to what it gives, and the numbers between the narrow matrices, as they are
    and masked, with the masks."""
    modules = {module for adapter in checkpoint.adapters for module in adapter.layers}
    added = [[a.layers[module] for a in checkpoint.adapters if module in a.layers] for module in modules]
    return [int(each[0].b.shape[0]) + _NARROW * sum(low_rank.rank for low_rank in each) for each in added]


def _head_width(config: PreTrainedConfig) -> int:
    """Numbers of a head's query, in the layer where they are most; 0 where they are not stated."""
    layers = range(config.num_hidden_layers) if getattr(config, "is_heterogeneous", False) else ()
    stated = [config.per_layer_config[layer] for layer in layers] or [config]
    return max(int(getattr(each, "d_kv", None) or getattr(each, "head_dim", None) or 0) for each in stated)


def _of_each_pair(config: PreTrainedConfig, heads: int) -> int:
    if getattr(config, "sliding_window", None) or family_of(config).direction(config).causal:
        return _SEEN
    if getattr(config, "pos_att_type", None):
        return _DISTANCES + _DISENTANGLED * heads
    return _DISTANCES + heads if _is_biased(config) else 0


def _is_biased(config: PreTrainedConfig) -> bool:
    return bool(getattr(config, "relative_attention_num_buckets", None))


def takes_linear_memory(sizes: Sizes) -> bool:
    """Whether the kernels of PackedMultiHeadAttention take no array of scores for texts of 256 tokens and more.

    Those that keep no scores want heads of a multiple of 8 numbers; with a bias they want a multiple of 16 tokens, too,
    which texts do not keep to; and in FP32 they are for texts from 256 tokens on. All else takes two arrays of
    n * heads * L * L (`packed_multihead_attention.cc`, and `GetAttentionWorkspaceSize` in `packed_attention_impl.cu`,
    of ONNX Runtime 1.19 and later).
    """
    return sizes.width // sizes.heads % 8 == 0 and not sizes.biased
