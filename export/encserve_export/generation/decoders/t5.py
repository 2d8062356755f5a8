"""The decoders of T5, mT5 and UMT5: a bias by distance, and norms before each part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from .decoder import Attention, Decoder, Layer, head_of


class _Norm(nn.Module):
    """A norm of T5 by a quotient, as ONNX Runtime looks for it to have one operator of its eight: the library's own
    multiplies by the reciprocal of the root."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight, self.epsilon = norm.weight, norm.variance_epsilon

    def forward(self, states: Tensor) -> Tensor:
        return states / torch.sqrt(states.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight  # type: ignore[no-any-return]


def t5_decoder(model: PreTrainedModel, tokens: int) -> Decoder:
    """The decoder of such a model, with a head for the first `tokens` of its vocabulary."""
    decoder: Any = model.get_decoder()  # type: ignore[no-untyped-call]
    return Decoder(
        embed=decoder.embed_tokens,
        layers=[_layer(block.layer) for block in decoder.block],
        head=head_of(model, tokens),
        norm=_Norm(decoder.final_layer_norm),
        head_scale=model.config.d_model**-0.5 if _scales(model.config) else 1.0,
        biases=_biases(decoder.block),
    )


def _layer(parts: Any) -> Layer:
    own, cross, feed_forward = parts
    return Layer(
        own=_attention(own.SelfAttention),
        own_norm=_Norm(own.layer_norm),
        cross=_attention(cross.EncDecAttention),
        cross_norm=_Norm(cross.layer_norm),
        forward_network=feed_forward.DenseReluDense,
        forward_norm=_Norm(feed_forward.layer_norm),
        norms_first=True,
    )


def _attention(module: Any) -> Attention:
    return Attention((module.q, module.k, module.v, module.o), heads=module.n_heads, scale=1.0)


def _scales(config: PreTrainedConfig) -> bool:
    """Whether a network scales what its head gets: T5 says it, UMT5 goes by whether its embeddings are tied, and mT5
    never does."""
    if config.model_type == "umt5":
        return bool(config.tie_word_embeddings)
    return bool(getattr(config, "scale_decoder_outputs", False))


def _biases(blocks: Sequence[Any]) -> list[Tensor]:
    """Of each layer the bias by head and distance (H, N). T5's layers share the first one's, UMT5's have one each."""
    tables: list[Tensor] = []
    for block in blocks:
        own = block.layer[0].SelfAttention
        if own.has_relative_attention_bias:
            places = own.relative_attention_max_distance + 1
            tables.append(own.compute_bias(places, places)[0, :, -1].flip(-1).detach())
        else:
            tables.append(tables[0])
    return tables
