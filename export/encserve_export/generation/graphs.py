"""The two graphs of a network that generates: its encoder on a pack of texts, and one step of its decoder.

What of a text the decoder looks at, its keys and values in each layer, is computed once with the encoder. A step reads
the keys and values of the tokens before it and gives those of its own token alone, so that nothing of a cache is copied
in the graph: who runs it writes them where the next step reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from encserve_export.attention.encoding import attention, token_states
from encserve_export.attention.packing import packing_of
from encserve_export.network.graph_file import write_graph_file
from encserve_export.network.packed_graph import OPSET, quiet_exporter, strip_traces
from encserve_server.steps.generate.decoder.network import ENCODER_FILE, STEP_FILE, Shape, step_inputs

from .decoders.decoder import Decoder, Layer
from .decoders.table import decoder_of

_TRACED_LENGTHS = (5, 17, 9)
_ROWS, _BEAMS, _PAST, _SOURCE = 3, 2, 5, 7
"""Of the samples that a step is traced with: none is 0 or 1, which the exporter takes for constants."""


class SourceEncoder(nn.Module):
    """The encoder on a pack, and the keys and values of all cross-attentions of the decoder."""

    def __init__(self, encoder: PreTrainedModel, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        attentions = [cast("Layer", layer).cross for layer in decoder.layers]
        self.projections = nn.ModuleList(each for one in attentions for each in (one.key, one.value))
        self.heads = attentions[0].heads

    def forward(self, input_ids: Tensor, lengths: Tensor) -> Tensor:
        """Token ids int64 (T,) of n texts end to end and their lengths int64 (n,) to keys and values float32
        (2 L, H, T, D): of each layer the keys, then the values."""
        states = token_states(self.encoder, input_ids, packing_of(lengths, input_ids.shape[0]))  # (T, d)
        states = states[None]  # of three dimensions each product is a MatMul, as precisions look for them, and no Gemm
        projected = [each(states)[0].unflatten(-1, (self.heads, -1)).transpose(0, 1) for each in self.projections]
        return torch.stack(projected)  # of (H, T, D)


class DecoderStep(nn.Module):
    """One step of the decoder, for T texts with K hypotheses each: tokens in, logits out."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.joined = nn.ModuleList(cast("Layer", layer).own.joined() for layer in decoder.layers)

    def forward(
        self, token: Tensor, position: Tensor, source_length: Tensor, kept: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The step after `position` tokens.

        Args:
            token: int64 (T, K), the token before.
            position: int64 (T,), how many tokens are kept of each text.
            source_length: int64 (T,), tokens of each text that was encoded.
            kept: of each layer four: keys and values (T, K, H, P, D) of the tokens before, of which the first
                `position` count; keys and values (T, H, S, D) of the encoded text.

        Returns:
            Logits float32 (T, K, V); keys and values (L, T, K, H, D) of `token`.
        """
        states = self.decoder.embedded(token, position)  # (T, K, d)
        past = torch.arange(kept[0].shape[3])[None]  # (1, P)
        source = torch.arange(kept[2].shape[2])[None]  # (1, S)
        none, hidden = torch.zeros(()), torch.tensor(-torch.inf)
        seen = torch.where(past >= position[:, None], hidden, none)[:, None, None, None]  # (T, 1, 1, 1, P)
        known = torch.where(source >= source_length[:, None], hidden, none)[:, None, None]  # (T, 1, 1, S)
        distance = position[:, None] - past  # (T, P)
        near: dict[int, Tensor] = {}  # bias and what is hidden, once for all layers that share a bias
        keys, values = [], []
        for index, layer in enumerate(cast("Sequence[Layer]", self.decoder.layers)):
            past_keys, past_values, source_keys, source_values = kept[4 * index : 4 * index + 4]
            own = layer.own
            read = layer.before(layer.own_norm, states)
            query, key, value = (own.split(each) for each in self.joined[index](read).chunk(3, -1))  # (T, K, H, D)
            keys.append(key)
            values.append(value)
            scores = (query[..., None, :] @ past_keys.transpose(-1, -2)) * own.scale  # (T, K, H, 1, P)
            to_itself = ((query * key).sum(-1) * own.scale)[..., None, None]  # (T, K, H, 1, 1)
            added = seen
            if self.decoder.biases:
                which = self.decoder.bias_of[index]
                table = self.decoder.biases[which]  # (H, distances)
                if which not in near:
                    of_each = table[:, distance.clamp(0, table.shape[1] - 1)]  # (H, T, P)
                    near[which] = of_each.transpose(0, 1)[:, None, :, None] + seen  # (T, 1, H, 1, P)
                added, to_itself = near[which], to_itself + table[:, 0, None, None]
            weights = torch.cat([scores + added, to_itself], -1).softmax(-1)
            mixed = (weights[..., :-1] @ past_values)[..., 0, :] + weights[..., 0, -1:] * value  # (T, K, H, D)
            states = layer.after(layer.own_norm, states + own.out(mixed.flatten(-2)))

            cross = layer.cross
            query = cross.split(cross.query(layer.before(layer.cross_norm, states)))  # (T, K, H, D)
            scores = (query.transpose(1, 2) @ source_keys.transpose(-1, -2)) * cross.scale  # (T, H, K, S)
            weights = (scores + known).softmax(-1)
            mixed = (weights @ source_values).transpose(1, 2).flatten(-2)  # (T, K, H D)
            states = layer.after(layer.cross_norm, states + cross.out(mixed))

            said = layer.forward_network(layer.before(layer.forward_norm, states))
            states = layer.after(layer.forward_norm, states + said)
        return self.decoder.logits(states), torch.stack(keys), torch.stack(values)


def shape_of(model: PreTrainedModel, tokens: int) -> Shape:
    """The sizes of a step; `tokens` are those that may be chosen."""
    decoder = decoder_of(model, tokens)
    own = decoder.first_layer().own
    size = cast("nn.Linear", own.key).out_features // own.heads
    return Shape(layers=len(decoder.layers), heads=own.heads, size=size, vocabulary=tokens)


def write_graphs(model: PreTrainedModel, tokens: int, folder: Path) -> None:
    """Write both graphs into `folder`; `tokens` are those that may be chosen."""
    decoder, shape = decoder_of(model, tokens), shape_of(model, tokens)
    encoder = SourceEncoder(cast("PreTrainedModel", model.get_encoder()), decoder).eval()
    step = DecoderStep(decoder).eval()
    packed: Inputs = {
        "input_ids": (torch.zeros(sum(_TRACED_LENGTHS), dtype=torch.int64), _dims(tokens=0)),
        "lengths": (torch.tensor(_TRACED_LENGTHS), _dims(texts=0)),
    }
    with attention(encoder.encoder):
        _export(encoder, packed, (list(packed), ["source"]), folder / ENCODER_FILE)
    one: Inputs = {
        "token": (torch.zeros(_ROWS, _BEAMS, dtype=torch.int64), _dims(rows=0, beams=1)),
        "position": (torch.tensor([5, 2, 4]), _dims(rows=0)),
        "source_length": (torch.tensor([7, 1, 3]), _dims(rows=0)),
        "kept": (
            [torch.zeros(size) for _ in range(shape.layers) for size in _kept_sizes(shape)],
            [
                _dims(rows=0, beams=1, past=3),
                _dims(rows=0, beams=1, past=3),
                _dims(rows=0, source=2),
                _dims(rows=0, source=2),
            ]
            * shape.layers,
        ),
    }
    _export(step, one, (list(step_inputs(shape)), ["logits", "key", "value"]), folder / STEP_FILE)


Inputs: TypeAlias = dict[str, tuple[Any, Any]]
"""Argument of a network -> a sample of it, and which of its dimensions are open."""

_OPEN = {
    name: torch.export.Dim(name, min=least)
    for name, least in {"tokens": 1, "texts": 1, "rows": 1, "beams": 1, "past": 2, "source": 2}.items()
}


def _dims(**axes: int) -> dict[int, Any]:
    return {axis: _OPEN[name] for name, axis in axes.items()}


def _kept_sizes(shape: Shape) -> tuple[tuple[int, ...], ...]:
    """Of one layer: keys and values of new tokens, then those of the source."""
    past = (_ROWS, _BEAMS, shape.heads, _PAST, shape.size)
    source = (_ROWS, shape.heads, _SOURCE, shape.size)
    return past, past, source, source


def _export(module: nn.Module, inputs: Inputs, names: tuple[list[str], list[str]], file: Path) -> None:
    """Write a network as ONNX; `names` are those of the inputs and outputs of the graph."""
    with quiet_exporter():
        program = torch.onnx.export(
            module,
            kwargs={name: sample for name, (sample, _) in inputs.items()},
            dynamo=True,
            dynamic_shapes={name: dims for name, (_, dims) in inputs.items()},
            input_names=names[0],
            output_names=names[1],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    strip_traces(graph)
    write_graph_file(graph, file)
