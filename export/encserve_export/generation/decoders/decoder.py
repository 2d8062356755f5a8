"""A decoder of any family that generates: layers that attend to themselves and to a text, and what stands around them.

The families differ in where norms stand, in how a token's place is told (added to its embedding, or to the scores of
attention), and in a few numbers. Their modules are used as they are, so that weights are neither copied nor renamed;
but queries, keys and values of a new token are one product, of which cores share more than of three small ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """The projections of one attention."""

    def __init__(self, projections: Sequence[nn.Module], *, heads: int, scale: float) -> None:
        """`projections` are those of queries, keys, values, and of what comes out; scores are multiplied by `scale`."""
        super().__init__()
        self.query, self.key, self.value, self.out = projections
        self.heads, self.scale = heads, scale

    def split(self, states: Tensor) -> Tensor:
        """(..., H D) -> (..., H, D)."""
        return states.unflatten(-1, (self.heads, -1))  # type: ignore[no-any-return,no-untyped-call]

    def joined(self) -> nn.Linear:
        """Queries, keys and values as one product (..., d) -> (..., 3 H D), with a copy of the weights."""
        parts = [cast("nn.Linear", each) for each in (self.query, self.key, self.value)]
        weight = torch.cat([each.weight.detach() for each in parts])
        biased = any(each.bias is not None for each in parts)
        joined = nn.Linear(weight.shape[1], weight.shape[0], bias=biased, device="meta")
        joined.weight = nn.Parameter(weight, requires_grad=False)
        if joined.bias is not None:
            none = torch.zeros(weight.shape[0] // len(parts), dtype=weight.dtype)
            biases = [none if each.bias is None else each.bias.detach() for each in parts]
            joined.bias = nn.Parameter(torch.cat(biases), requires_grad=False)
        return joined


class Layer(nn.Module):
    """One layer: attention to the tokens before, attention to the text, and a feed-forward network."""

    def __init__(
        self,
        *,
        own: Attention,
        own_norm: nn.Module,
        cross: Attention,
        cross_norm: nn.Module,
        forward_network: nn.Module,
        forward_norm: nn.Module,
        norms_first: bool,
    ) -> None:
        """A norm stands before its part where `norms_first`, else after the part was added to what it read."""
        super().__init__()
        self.own, self.own_norm = own, own_norm
        self.cross, self.cross_norm = cross, cross_norm
        self.forward_network, self.forward_norm = forward_network, forward_norm
        self.norms_first = norms_first

    def before(self, norm: nn.Module, states: Tensor) -> Tensor:
        """What a part reads."""
        return norm(states) if self.norms_first else states

    def after(self, norm: nn.Module, states: Tensor) -> Tensor:
        """What the next part reads, out of the sum of what this one read and what it says."""
        return states if self.norms_first else norm(states)


class Decoder(nn.Module):
    """What a step of a decoder is made of."""

    def __init__(
        self,
        *,
        embed: nn.Module,
        layers: Sequence[Layer],
        head: nn.Linear,
        embed_scale: float = 1.0,
        places: Tensor | None = None,
        placeless: int | None = None,
        embed_norm: nn.Module | None = None,
        norm: nn.Module | None = None,
        head_scale: float = 1.0,
        biases: Sequence[Tensor] = (),
    ) -> None:
        """
        Args:
            embed: tokens to their embeddings, which are multiplied by `embed_scale`.
            layers: in their order.
            head: states (..., d) to logits; what it gets is multiplied by `head_scale`.
            places: what is added for each place, float32 (N, d), from the place of the first token; None where places
                are not added.
            placeless: the token to which nothing is added.
            embed_norm: what stands before the layers.
            norm: what stands behind them.
            biases: of each layer what is added to the scores by head and distance (H, N), where distances beyond the
                last have the last one's; none where nothing is. Layers may share one.
        """
        super().__init__()
        self.embed, self.embed_scale, self.placeless = embed, embed_scale, placeless
        self.layers, self.head, self.head_scale = nn.ModuleList(layers), head, head_scale
        self.places = None if places is None else nn.Parameter(places.detach(), requires_grad=False)
        self.embed_norm, self.norm = embed_norm or nn.Identity(), norm or nn.Identity()
        own = {id(table): table for table in biases}
        self.biases = nn.ParameterList(nn.Parameter(table, requires_grad=False) for table in own.values())
        self.bias_of = [list(own).index(id(table)) for table in biases]
        """Which of `biases` each layer has, of which those that share one have the same."""

    def first_layer(self) -> Layer:
        """The first of its layers, which all have the same sizes."""
        return self.layers[0]  # type: ignore[return-value]

    def embedded(self, token: Tensor, position: Tensor) -> Tensor:
        """Tokens int64 (T, K), each after `position` int64 (T,) others, to what the first layer reads (T, K, d)."""
        states = self.embed(token) * self.embed_scale  # (T, K, d)
        if self.places is not None:
            place = self.places[position][:, None]  # (T, 1, d)
            states = states + (place if self.placeless is None else place * (token != self.placeless)[..., None])
        return self.embed_norm(states)  # type: ignore[no-any-return]

    def logits(self, states: Tensor) -> Tensor:
        """What the last layer says (..., d) to logits (..., V)."""
        return self.head(self.norm(states) * self.head_scale)  # type: ignore[no-any-return]


def head_of(model: Any, tokens: int, bias: Tensor | None = None) -> nn.Linear:
    """The head of a model for the first `tokens` of its vocabulary, with a `bias` (1, V) where it has one."""
    head = nn.Linear(model.config.d_model, tokens, bias=bias is not None, device="meta")  # without numbers of its own
    head.weight = nn.Parameter(model.lm_head.weight[:tokens], requires_grad=False)
    if bias is not None:
        head.bias = nn.Parameter(bias[0, :tokens].detach(), requires_grad=False)
    return head
