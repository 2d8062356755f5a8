"""Scores of spans of words for labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .scores import Part

_SPANS = "span_rep_layer.span_rep_layer"
_INNER, _OUTER = "0", "3"
"""Of two layers: the library has an activation and a dropout between them, which have no tensors."""


class SpanScores(nn.Module):
    """Two layers on the first and the last word of each span, and the product with the vector of each label.

    The last layer of a span and the product with a label are both linear, so a label goes through that layer in the
    place of each span: one product for each label where the library computes a vector for each span. The first layer of
    a span is likewise the sum of what it makes of either word.
    """

    def __init__(self, width: int, max_width: int) -> None:
        super().__init__()
        self.rows = max_width
        """Scores of a word for each label: of the spans of 1 to so many words that begin there."""
        self.passing = 0
        """Arrays as wide as a vector that live at once, for each word, beyond those of a layer of the encoder."""
        self.start, self.end, self.prompt = (_two_layers(width) for _ in range(3))
        self.of_start, self.of_end = nn.Linear(width, 4 * width), nn.Linear(width, 4 * width, bias=False)
        self.out = nn.Linear(4 * width, width)

    @property
    def parts(self) -> dict[str, Part]:
        """Where the tensors lie in a checkpoint, by their names here."""
        prefixes = {"start": f"{_SPANS}.project_start", "end": f"{_SPANS}.project_end", "prompt": "prompt_rep_layer"}
        kinds = ("weight", "bias")
        two_layers = {
            f"{own}.{place}.{kind}": Part(f"{name}.{layer}.{kind}")
            for own, name in prefixes.items()
            for place, layer in (("0", _INNER), ("2", _OUTER))
            for kind in kinds
        }
        inner, outer = (f"{_SPANS}.out_project.{layer}" for layer in (_INNER, _OUTER))
        return {
            **two_layers,
            "of_start.weight": Part(f"{inner}.weight", column=0, columns=2),
            "of_start.bias": Part(f"{inner}.bias"),
            "of_end.weight": Part(f"{inner}.weight", column=1, columns=2),
            **{f"out.{kind}": Part(f"{outer}.{kind}") for kind in kinds},
        }

    def forward(self, vectors: Tensor, words: Tensor, asked: Tensor, labels: Tensor) -> Tensor:
        """Vectors (n, L, H) of places, of which those that are words, bool (n, L), come first, and (n, M, H) of labels,
        of which those that are there, bool (n, M), come first, to logits (n, L, K, M). 0 where there is no such span
        or label."""
        n, longest, most = *words.shape, self.rows
        begins = self.of_start(self.start(vectors).relu())  # (n, L, P)
        ends = self.of_end(self.end(vectors).relu())  # (n, L, P)
        ends = torch.cat([ends, ends.new_zeros(n, most - 1, ends.shape[2])], 1)  # (n, L + K - 1, P)
        asked = self.prompt(asked)  # (n, M, H)
        weights, bias = asked @ self.out.weight, asked @ self.out.bias  # (n, M, P), (n, M)
        ended = torch.cat([words, words.new_zeros(n, most - 1)], 1)  # (n, L + K - 1)
        scores = []
        for width in range(most):
            spans = (begins + ends[:, width : width + longest]).relu()  # (n, L, P)
            real = words & ended[:, width : width + longest]  # (n, L)
            of_width = spans @ weights.transpose(1, 2) + bias[:, None, :]  # (n, L, M)
            scores.append(torch.where(real[..., None] & labels[:, None, :], of_width, 0.0))
        return torch.stack(scores, 2)


def _two_layers(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
