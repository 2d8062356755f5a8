"""What the spans of a text are held against, out of the vectors of its labels.

The library unrolls a GRU from the vector of each label, a step for each time that a structure is in a text. Entities
are those of its first step alone, of which the later ones change nothing: so it is one step here, and how many there
would be does not matter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear

_MOST = 20
"""Steps that a checkpoint has vectors of."""
_INNER_WIDTH, _HEADS, _LAYERS = 128, 4, 2
_EXPERTS, _WIDER = 4, 2


class _FirstStep(nn.Module):
    """The first step of a GRU (Cho et al. 2014) with PyTorch's order of gates, whose input is the same for all labels.
    The modules have the names of the published tensors."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Embedding(_MOST, width)
        self.gru = nn.GRU(width, width)

    def step(self, labels: Tensor) -> Tensor:
        """Vectors (n, M, H) of labels, which the step starts from, to (n, M, H)."""
        of_given, of_kept, given_bias, kept_bias = self.gru.all_weights[0]
        given = linear(self.pos_embedding.weight[0], of_given, given_bias).chunk(3, -1)  # (H,) each
        kept = linear(labels, of_kept, kept_bias).chunk(3, -1)  # (n, M, H) each
        reset, update = (given[0] + kept[0]).sigmoid(), (given[1] + kept[1]).sigmoid()
        new = (given[2] + reset * kept[2]).tanh()
        return (1 - update) * new + update * labels


class Projected(_FirstStep):
    """`count_lstm`: two layers on the step and on what it started from."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.projector = nn.Sequential(nn.Linear(2 * width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))

    def forward(self, labels: Tensor, there: Tensor) -> Tensor:
        """Vectors (n, M, H) of labels, of which those are there that bool (n, M) says, to (n, M, H)."""
        return self.projector(torch.cat([self.step(labels), labels], -1))  # type: ignore[no-any-return]


class Attending(_FirstStep):
    """`count_lstm_v2`: a small transformer, in which the labels of a text look at each other."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.transformer = _Downscaled(width)

    def forward(self, labels: Tensor, there: Tensor) -> Tensor:
        """As `Projected`."""
        return self.transformer(self.step(labels) + labels, there)  # type: ignore[no-any-return]


class _Downscaled(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_projector = nn.Linear(width, _INNER_WIDTH)
        layer = nn.TransformerEncoderLayer(_INNER_WIDTH, _HEADS, 2 * _INNER_WIDTH, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, _LAYERS, enable_nested_tensor=False)
        self.out_projector = nn.Sequential(
            nn.Linear(_INNER_WIDTH + width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
        )

    def forward(self, vectors: Tensor, there: Tensor) -> Tensor:
        inner = self.in_projector(vectors)  # (n, M, D)
        barred = torch.where(there, 0.0, torch.finfo(inner.dtype).min)[:, None, None, :]  # (n, 1, 1, M)
        for layer in self.transformer.layers:
            assert isinstance(layer, nn.TransformerEncoderLayer)
            inner = layer.norm1(inner + _attended(layer.self_attn, inner, barred))
            inner = layer.norm2(inner + layer.linear2(layer.linear1(inner).relu()))
        return self.out_projector(torch.cat([inner, vectors], -1))  # type: ignore[no-any-return]


def _attended(attention: nn.MultiheadAttention, vectors: Tensor, barred: Tensor) -> Tensor:
    """What vectors (n, M, D) see of each other, but for those that are `barred`, (n, 1, 1, M)."""
    n, labels, width = vectors.shape
    whole = linear(vectors, attention.in_proj_weight, attention.in_proj_bias)  # (n, M, 3 D)
    queries, keys, values = whole.reshape(n, labels, 3, _HEADS, width // _HEADS).permute(2, 0, 3, 1, 4)
    scores = queries @ keys.transpose(2, 3) / (width // _HEADS) ** 0.5 + barred  # (n, h, M, M)
    seen = (scores.softmax(-1) @ values).transpose(1, 2).reshape(n, labels, width)
    return attention.out_proj(seen)  # type: ignore[no-any-return]


class Experts(_FirstStep):
    """`count_lstm_moe`: the mean of what four experts of two layers each make of the step, as a router weighs them."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        inner = _WIDER * width
        self.w1, self.b1 = (nn.Parameter(torch.empty(_EXPERTS, *shape)) for shape in ((width, inner), (inner,)))
        self.w2, self.b2 = (nn.Parameter(torch.empty(_EXPERTS, *shape)) for shape in ((inner, width), (width,)))
        self.router = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, _EXPERTS), nn.Softmax(-1))

    def forward(self, labels: Tensor, there: Tensor) -> Tensor:
        """As `Projected`."""
        step = self.step(labels)  # (n, M, H)
        inner = gelu(step[:, None] @ self.w1 + self.b1[:, None])  # (n, E, M, P)
        made = inner @ self.w2 + self.b2[:, None]  # (n, E, M, H)
        weights = self.router(step).transpose(1, 2)[..., None]  # (n, E, M, 1)
        return (weights * made).sum(1)  # type: ignore[no-any-return]
