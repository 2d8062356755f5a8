"""The decoders of BART and its kin: mBART, Pegasus, Marian, M2M100 and NLLB. Places are added to embeddings."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from .decoder import Attention, Decoder, Layer, head_of

_NORMS_FIRST = ("m2m_100", "mbart", "pegasus")
"""Families whose norms stand before each part; those of BART and Marian stand behind it."""
_MOST_PLACES = 1_024
"""Of a network whose places have no end, so many are kept: the most new tokens of a request."""


class _FeedForward(nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.widen, self.activate, self.narrow = layer.fc1, layer.activation_fn, layer.fc2

    def forward(self, states: Tensor) -> Tensor:
        return self.narrow(self.activate(self.widen(states)))  # type: ignore[no-any-return]


def bart_decoder(model: PreTrainedModel, tokens: int) -> Decoder:
    """The decoder of such a model, with a head for the first `tokens` of its vocabulary."""
    decoder: Any = model.get_decoder()  # type: ignore[no-untyped-call]
    places: Any = decoder.embed_positions
    skips = _skips_padding(places)
    return Decoder(
        embed=decoder.embed_tokens,
        embed_scale=getattr(decoder, "embed_scale", 1.0),  # of the others the embeddings scale themselves
        places=_places(places),
        placeless=places.padding_idx if skips else None,
        embed_norm=getattr(decoder, "layernorm_embedding", None),
        layers=[_layer(layer, norms_first=model.config.model_type in _NORMS_FIRST) for layer in decoder.layers],
        norm=getattr(decoder, "layer_norm", None),
        head=head_of(model, tokens, getattr(model, "final_logits_bias", None)),
    )


def _layer(layer: Any, *, norms_first: bool) -> Layer:
    return Layer(
        own=_attention(layer.self_attn),
        own_norm=layer.self_attn_layer_norm,
        cross=_attention(layer.encoder_attn),
        cross_norm=layer.encoder_attn_layer_norm,
        forward_network=_FeedForward(layer),
        forward_norm=layer.final_layer_norm,
        norms_first=norms_first,
    )


def _attention(module: Any) -> Attention:
    projections = (module.q_proj, module.k_proj, module.v_proj, module.out_proj)
    return Attention(projections, heads=module.num_heads, scale=module.scaling)


def _places(module: Any) -> Tensor:
    """What is added for each place (N, d), from that of the first token."""
    if _skips_padding(module):  # which makes more of them when they are needed
        first = int(module.padding_idx or 0) + 1
        table: Tensor = module.get_embedding(first + _MOST_PLACES, module.embedding_dim, module.padding_idx)
        return table[first:]
    return module.weight[getattr(module, "offset", 0) :]  # type: ignore[no-any-return]


def _skips_padding(places: nn.Module) -> bool:
    """Whether these are the places of M2M100, which counts no padding."""
    from transformers.models.m2m_100.modeling_m2m_100 import M2M100SinusoidalPositionalEmbedding

    return isinstance(places, M2M100SinusoidalPositionalEmbedding)
