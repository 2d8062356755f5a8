"""What stands on the encoder of a GLiNER checkpoint: from vectors of tokens to scores for the labels of a request."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from encserve_export.attention.packing import Packing

from .layout import GLINER, GlinerSettings
from .recurrence import BothWays
from .scores import MOST_LABELS, Part
from .span_scores import SpanScores
from .word_scores import WordScores

WORD, LABEL = 1, 2
"""What a token is to the head: the first of a word, or the marker of a label; others are 0."""


class EntityHead(nn.Module):
    """An LSTM over the vectors of words, and scores of spans or of words for each label (Zaratiana et al. 2023, GLiNER,
    section 2.2; Stepanov and Shtopko 2024, GLiNER multi-task)."""

    ROLES = 3
    """How many kinds of tokens there are to it."""
    LABELS_COMPETE = True
    """Whether a span that is an entity of one label bars others of other labels, where a request does not say."""
    SETTINGS = GLINER
    """The file that says what it is."""
    LEFT_OUT: str | None = None
    """What the names of tensors begin with that it does without."""

    def __init__(self, settings: GlinerSettings, encoder_width: int) -> None:
        super().__init__()
        width = settings.hidden_size
        self.settings = settings
        self.projection = nn.Identity() if encoder_width == width else nn.Linear(encoder_width, width)
        self.layers = nn.ModuleList(BothWays(width) for _ in range(settings.rnn_layers))
        self.scores: WordScores | SpanScores = (
            WordScores(width) if settings.of_words else SpanScores(width, settings.max_width)
        )

    @property
    def parts(self) -> dict[str, Part]:
        """Which tensor of the library, or which part of it, each of its own is, by their names."""
        return {name: _part_of(name, self.scores.parts) for name in self.state_dict()}

    def filled(self) -> None:
        """Put what was read in the order in which a graph has it."""
        for layer in self.layers:
            assert isinstance(layer, BothWays)
            layer.lay_out()

    @property
    def columns(self) -> int:
        """Numbers of each token."""
        return self.scores.rows * MOST_LABELS

    @property
    def passing(self) -> int:
        """Numbers of each place of a padded view that are computed on the way, at once."""
        return self.scores.passing * self.settings.hidden_size

    def forward(self, states: Tensor, packing: Packing, roles: Tensor) -> Tensor:
        """Vectors (T, H) of the tokens of n texts, and what they are, int64 (T,), to logits float32 (T, R * M): at the
        first token of a word R for each of M labels. 0 where there is no such label, or no such span, and at other
        tokens."""
        states = self.projection(states)
        n, longest = packing.is_token.shape
        word_at, slots, words = collected(packing, roles == WORD, longest)
        label_at, _, labels = collected(packing, roles == LABEL, MOST_LABELS)
        if not self.settings.vector_of_marker:
            label_at = (label_at + 1).clamp(max=states.shape[0] - 1)
        vectors = states[word_at] * words[..., None]  # (n, L, H)
        for layer in self.layers:
            vectors = layer(vectors, words)
        logits = self.scores(vectors, words, states[label_at], labels)  # (n, L, R, M)
        rows = logits.reshape(n * longest, self.columns)
        return rows[slots] * (roles == WORD)[:, None]  # type: ignore[no-any-return]


def guessed_roles(input_ids: Tensor, marker_id: int, separator_id: int) -> Tensor:
    """What the tokens int64 (T,) of one row may be, where nobody says which begin words: markers are told by their
    token, and each behind the separator is taken for a word."""
    behind = (input_ids == separator_id).to(torch.int64).cumsum(0) > 0
    words = behind & (input_ids != separator_id) & (torch.arange(len(input_ids)) < len(input_ids) - 1)
    return torch.where(input_ids == marker_id, LABEL, words.to(torch.int64) * WORD)


def _part_of(own: str, of_scores: Mapping[str, Part]) -> Part:
    """Which tensor of the library, or which part of it, one of the head is."""
    part, *rest = own.split(".")
    if part == "layers":
        layer, direction, tensor = rest
        turned = "_reverse" if direction == "backwards" else ""
        return Part(f"rnn.lstm.{tensor.removesuffix('0')}{layer}{turned}")
    if part == "projection":
        return Part(f"token_rep_layer.{own}")
    return of_scores[".".join(rest)]


def collected(packing: Packing, wanted: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """The tokens of each text that are `wanted`, bool (T,), its first `most` of them side by side.

    Returns which token fills each place, int64 (n, most); the place of each token, int64 (T,), any for those that have
    none; and which places are filled, bool (n, most).
    """
    n = packing.is_token.shape[0]
    places = packing.counting(wanted)  # (T,), from 1
    fits = wanted & (places <= most)
    slots = torch.where(fits, packing.texts.text_of * most + places - 1, n * most)  # (T,)
    tokens = torch.arange(slots.shape[0], device=slots.device)
    token_at = torch.zeros(n * most + 1, dtype=torch.int64, device=slots.device).scatter(0, slots, tokens)
    filled = torch.zeros(n * most + 1, dtype=torch.int64, device=slots.device).scatter(0, slots, fits.to(torch.int64))
    return (
        token_at[: n * most].reshape(n, most),
        slots.clamp(max=n * most - 1),
        filled[: n * most].reshape(n, most) != 0,
    )
