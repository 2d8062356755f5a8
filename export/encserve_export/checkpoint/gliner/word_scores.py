"""Scores of words for labels: how likely an entity of the label begins at a word, ends there, and has it in it."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from .scores import MOST_LABELS, Part

PARTS_OF_SCORES = 3
"""The start of an entity, its end, and its inside."""
_BLOCKS = 4
"""Of the inner layer, which is four times as wide as a vector. A pair of a word and a label has no more numbers than
two vectors at a time."""
_ARRAYS = 4
"""As wide as a vector, that live at once for each pair: the product, what a block makes of it, and sums of those."""


class _Block(nn.Module):
    """A quarter of the inner layer, and what the outer one makes of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.word = nn.Linear(width, width)
        self.label, self.pair = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.out = nn.Linear(width, PARTS_OF_SCORES, bias=False)

    def forward(self, word: Tensor, label: Tensor, pairs: Tensor) -> Tensor:
        """What is of a word (n, L, H), of a label (n, m, H) and of both (n, L, m, H) to its share of the scores
        (n, L, m, 3)."""
        inner = self.pair(pairs) + self.word(word)[:, :, None] + self.label(label)[:, None]
        return self.out(inner.relu())  # type: ignore[no-any-return]


class WordScores(nn.Module):
    """Two layers on a word, a label, and the product of both, number by number.

    The first layer is the sum of what it makes of each of these; only what is of both is computed for each pair.
    """

    rows = PARTS_OF_SCORES
    """Scores of a word for each label."""
    passing = _ARRAYS * MOST_LABELS
    """Arrays as wide as a vector that live at once, for each word."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.word, self.label = (nn.ModuleList(nn.Linear(width, width) for _ in range(2)) for _ in range(2))
        """Of each the vector that is taken as it is, and the one that is multiplied."""
        self.blocks = nn.ModuleList(_Block(width) for _ in range(_BLOCKS))
        self.bias = nn.Parameter(torch.zeros(PARTS_OF_SCORES))

    @property
    def parts(self) -> dict[str, Part]:
        """Where the tensors lie in a checkpoint, by their names here."""
        inner, outer = "scorer.out_mlp.0", "scorer.out_mlp.3"
        parts = {
            f"{own}.{number}.{kind}": Part(f"scorer.proj_{own if own == 'label' else 'token'}.{kind}", number, 2)
            for own in ("word", "label")
            for number in range(2)
            for kind in ("weight", "bias")
        }
        for block in range(_BLOCKS):
            parts[f"blocks.{block}.word.bias"] = Part(f"{inner}.bias", block, _BLOCKS)
            parts[f"blocks.{block}.out.weight"] = Part(f"{outer}.weight", column=block, columns=_BLOCKS)
            for column, own in enumerate(("word", "label", "pair")):
                parts[f"blocks.{block}.{own}.weight"] = Part(f"{inner}.weight", block, _BLOCKS, column, 3)
        return parts | {"bias": Part(f"{outer}.bias")}

    def forward(self, vectors: Tensor, words: Tensor, asked: Tensor, labels: Tensor) -> Tensor:
        """Vectors (n, L, H) of places, of which those that are words, bool (n, L), come first, and (n, M, H) of labels,
        of which those that are there, bool (n, M), come first, to logits (n, L, 3, M): of the start of an entity, its
        end and its inside. 0 where there is no such word or label.

        Pairs are those of as many labels as any of the texts has.
        """
        n, longest = words.shape
        most = cast("int", labels.to(torch.int64).sum(1).max().clamp(min=1).item())  # symbolic while it is traced
        torch._check(most >= 1)  # type: ignore[no-untyped-call]
        torch._check(most <= MOST_LABELS)  # type: ignore[no-untyped-call]
        asked = asked.index_select(1, torch.arange(most, device=asked.device))  # (n, m, H)
        word, label = self.word[0](vectors), self.label[0](asked)  # (n, L, H), (n, m, H)
        pairs = self.word[1](vectors)[:, :, None] * self.label[1](asked)[:, None]  # (n, L, m, H)
        scores = sum((block(word, label, pairs) for block in self.blocks), start=self.bias)  # (n, L, m, 3)
        places = scores.new_zeros(n, longest, PARTS_OF_SCORES, MOST_LABELS)
        scores = torch.cat([scores.transpose(2, 3), places], 3)  # (n, L, 3, m + M)
        scores = scores.index_select(3, torch.arange(MOST_LABELS, device=scores.device))  # (n, L, 3, M)
        return torch.where(words[:, :, None, None] & labels[:, None, None, :], scores, 0.0)
