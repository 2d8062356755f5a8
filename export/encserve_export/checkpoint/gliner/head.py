"""What stands on the encoder of a GLiNER checkpoint: from vectors of tokens to scores of spans of words for labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from encserve_export.attention.packing import Packing
from encserve_export.errors import CheckpointError, Unsupported

from .layout import GLINER, GlinerSettings
from .recurrence import BothWays

MOST_LABELS = 64
"""Of one request. Each row of scores has a place for as many."""
WORD, LABEL = 1, 2
"""What a token is to the head: the first of a word, or the marker of a label; others are 0."""


class EntityHead(nn.Module):
    """Scores of spans: an LSTM over the vectors of words, two layers on the first and the last word of each span, and
    the product with the vector of each label (Zaratiana et al. 2023, GLiNER, section 2.2).

    The last layer of a span and the product with a label are both linear, so a label goes through that layer in the
    place of each span: one product for each label where the library computes a vector for each span. The first layer of
    a span is likewise the sum of what it makes of either word.
    """

    def __init__(self, settings: GlinerSettings, encoder_width: int) -> None:
        super().__init__()
        width = settings.hidden_size
        self.settings = settings
        self.projection = nn.Identity() if encoder_width == width else nn.Linear(encoder_width, width)
        self.layers = nn.ModuleList(BothWays(width) for _ in range(settings.rnn_layers))
        self.start, self.end, self.prompt = (_two_layers(width, width) for _ in range(3))
        self.out = _two_layers(2 * width, width)

    @property
    def columns(self) -> int:
        """Numbers of each token: of each width of a span, for each label."""
        return self.settings.max_width * MOST_LABELS

    def forward(self, states: Tensor, packing: Packing, roles: Tensor) -> Tensor:
        """Vectors (T, H) of the tokens of n texts, and what they are, int64 (T,), to logits float32 (T, K * M): at the
        first token of a word those of the spans of 1 to K words that begin there, for each of M labels. 0 where there
        is no such span or label, and at other tokens."""
        settings, most = self.settings, self.settings.max_width
        states = self.projection(states)
        n, longest = packing.is_token.shape
        word_at, slots, words = _collected(packing, roles == WORD, longest)
        label_at, _, labels = _collected(packing, roles == LABEL, MOST_LABELS)
        if not settings.vector_of_marker:
            label_at = (label_at + 1).clamp(max=states.shape[0] - 1)
        vectors = states[word_at] * words[..., None]  # (n, L, H)
        for layer in self.layers:
            vectors = layer(vectors, words)

        inner, outer = self.out[0], self.out[2]
        assert isinstance(inner, nn.Linear)
        assert isinstance(outer, nn.Linear)
        of_both: Tensor = inner.weight  # (P, 2 H)
        of_start, of_end = of_both[:, : settings.hidden_size], of_both[:, settings.hidden_size :]
        begins = self.start(vectors).relu() @ of_start.T + inner.bias  # (n, L, P)
        ends = self.end(vectors).relu() @ of_end.T  # (n, L, P)
        ends = torch.cat([ends, ends.new_zeros(n, most - 1, ends.shape[2])], 1)  # (n, L + K - 1, P)
        asked: Tensor = self.prompt(states[label_at])  # (n, M, H)
        weights, bias = asked @ outer.weight, asked @ outer.bias  # (n, M, P), (n, M)
        ended = torch.cat([words, words.new_zeros(n, most - 1)], 1)  # (n, L + K - 1)
        scores = []
        for width in range(most):
            spans = (begins + ends[:, width : width + longest]).relu()  # (n, L, P)
            real = words & ended[:, width : width + longest]  # (n, L)
            of_width = spans @ weights.transpose(1, 2) + bias[:, None, :]  # (n, L, M)
            scores.append(torch.where(real[..., None] & labels[:, None, :], of_width, 0.0))
        rows = torch.stack(scores, 2).reshape(n * longest, self.columns)
        return rows[slots] * (roles == WORD)[:, None]


def guessed_roles(input_ids: Tensor, marker_id: int, separator_id: int) -> Tensor:
    """What the tokens int64 (T,) of one row may be, where nobody says which begin words: markers are told by their
    token, and each behind the separator is taken for a word."""
    behind = (input_ids == separator_id).to(torch.int64).cumsum(0) > 0
    words = behind & (input_ids != separator_id) & (torch.arange(len(input_ids)) < len(input_ids) - 1)
    return torch.where(input_ids == marker_id, LABEL, words.to(torch.int64) * WORD)


def load_head(settings: GlinerSettings, encoder_width: int, tensors: Mapping[str, Tensor]) -> EntityHead:
    """The head with its tensors, by the names of the library.

    Raises:
        CheckpointError: one is missing, or has another shape.
        Unsupported: there is one that nothing reads.
    """
    head = EntityHead(settings, encoder_width)
    wanted = head.state_dict()
    names = {name: _name_of(name) for name in wanted}
    if missing := sorted({*names.values()} - {*tensors}):
        raise CheckpointError(f"the weights lack {len(missing)} tensors that {GLINER} asks for, such as {missing[0]}")
    if unread := sorted({*tensors} - {*names.values()}):
        raise Unsupported(f"the weights have {len(unread)} tensors that nothing reads, such as {unread[0]}")
    for own, name in names.items():
        if tensors[name].shape != wanted[own].shape:
            shapes = list(tensors[name].shape), list(wanted[own].shape)
            raise CheckpointError(f"{name} has the shape {shapes[0]}, {GLINER} asks for {shapes[1]}")
    head.load_state_dict({own: tensors[name].float() for own, name in names.items()})
    return head.eval().requires_grad_(False)


_PARTS = {
    "projection": "token_rep_layer.projection",
    "start": "span_rep_layer.span_rep_layer.project_start",
    "end": "span_rep_layer.span_rep_layer.project_end",
    "out": "span_rep_layer.span_rep_layer.out_project",
    "prompt": "prompt_rep_layer",
}
_LAYERS = {"0": "0", "2": "3"}
"""Of two layers: the library has a dropout between them, which has no tensors."""


def _name_of(own: str) -> str:
    """The library's name of a tensor of the head."""
    part, *rest = own.split(".")
    if part == "layers":
        layer, direction, tensor = rest
        turned = "_reverse" if direction == "backwards" else ""
        return f"rnn.lstm.{tensor.removesuffix('0')}{layer}{turned}"
    if len(rest) == len(("layer", "tensor")):
        rest[0] = _LAYERS[rest[0]]
    return ".".join([_PARTS[part], *rest])


def _collected(packing: Packing, wanted: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
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


def _two_layers(taken: int, given: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(taken, 4 * given), nn.ReLU(), nn.Linear(4 * given, given))
