"""What stands on the encoder of a GLiNER2 checkpoint: from vectors of tokens to scores of spans for the labels of a
request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from encserve_export.attention.packing import Packing
from encserve_export.checkpoint.gliner.head import LABEL, WORD, collected
from encserve_export.checkpoint.gliner.scores import MOST_LABELS, Part
from encserve_export.checkpoint.gliner.span_scores import SpanScores
from encserve_server.steps.tokenize.layouts.gliner2_texts import GATE

from .counting import Attending, Experts, Projected
from .layout import CONFIG, Gliner2Settings

_COUNTING: dict[str, Callable[[int], nn.Module]] = {
    "count_lstm": Projected,
    "count_lstm_v2": Attending,
    "count_lstm_moe": Experts,
}
_SCORES = "scores."
_COUNTS = 20
"""0 to 19 times may a structure be in a text."""


class Gliner2Head(nn.Module):
    """Scores of spans as GLiNER's, held against vectors that a step of a GRU and more layers make of those of the
    labels; and whether the text has anything of the labels at all (Zaratiana et al. 2025, GLiNER2)."""

    ROLES = 4
    LABELS_COMPETE = False
    SETTINGS = CONFIG
    LEFT_OUT = "classifier."
    """Of those that classify whole texts, which is not served."""

    def __init__(self, settings: Gliner2Settings, width: int) -> None:
        super().__init__()
        self.settings = settings
        self.scores = SpanScores(width, settings.max_width)
        self.scores.prompt = nn.Identity()  # type: ignore[assignment]
        self.count_embed = _COUNTING[settings.counting](width)
        self.count_pred = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, _COUNTS))

    @property
    def parts(self) -> dict[str, Part]:
        """Which tensor of the library, or which part of it, each of its own is, by their names."""
        return {name: _part_of(name, self.scores.parts) for name in self.state_dict()}

    def filled(self) -> None:
        """Nothing is put in another order."""

    @property
    def columns(self) -> int:
        """Numbers of each token: of each width of a span, for each label."""
        return self.settings.max_width * MOST_LABELS

    @property
    def passing(self) -> int:
        """Numbers of each place of a padded view that are computed on the way, at once."""
        return 0

    def forward(self, states: Tensor, packing: Packing, roles: Tensor) -> Tensor:
        """Vectors (T, H) of the tokens of n texts, and what they are, int64 (T,), to logits float32 (T, K * M): at the
        first token of a word those of the spans of 1 to K words that begin there, for each of M labels. At the token
        that stands for all labels the first is how far the likeliest count above 0 is above that of 0: a text has
        entities where it is above 0. All others are 0."""
        n, longest = packing.is_token.shape
        word_at, slots, words = collected(packing, roles == WORD, longest)
        label_at, _, labels = collected(packing, roles == LABEL, MOST_LABELS)
        gate_at, _, _ = collected(packing, roles == GATE, 1)
        vectors = states[word_at] * words[..., None]  # (n, L, H)
        asked = self.count_embed(states[label_at], labels)  # (n, M, H)
        rows = self.scores(vectors, words, asked, labels).reshape(n * longest, self.columns)
        of_words = rows[slots] * (roles == WORD)[:, None]  # (T, K * M)
        counts = self.count_pred(states[gate_at[:, 0]])  # (n, 20)
        gates = counts[:, 1:].amax(1) - counts[:, 0]  # (n,)
        first = torch.where(roles == GATE, gates[packing.texts.text_of], of_words[:, 0])  # (T,)
        return torch.cat([first[:, None], of_words[:, 1:]], 1)


def _part_of(own: str, of_scores: Mapping[str, Part]) -> Part:
    """Which tensor of the library one of the head is: of the same name, but for those of spans."""
    if not own.startswith(_SCORES):
        return Part(own)
    part = of_scores[own.removeprefix(_SCORES)]
    return replace(part, name=part.name.replace("span_rep_layer", "span_rep", 1))
