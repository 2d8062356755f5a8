"""The two graphs of a T5 that generates: its encoder on a pack of texts, and one step of its decoder.

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
from transformers import PreTrainedConfig, PreTrainedModel

from encserve_export.attention.encoding import attention, token_states
from encserve_export.attention.packing import packing_of
from encserve_export.network.graph_file import write_graph_file
from encserve_export.network.packed_graph import OPSET, quiet_exporter, strip_traces
from encserve_server.steps.generate.network import ENCODER_FILE, STEP_FILE, Shape, step_inputs

_TRACED_LENGTHS = (5, 17, 9)
_ROWS, _BEAMS, _PAST, _SOURCE = 3, 2, 5, 7
"""Of the samples that a step is traced with: none is 0 or 1, which the exporter takes for constants."""


class SourceEncoder(nn.Module):
    """The encoder on a pack, and the keys and values of all cross-attentions of the decoder."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.encoder = cast("PreTrainedModel", model.encoder)
        blocks = cast("Any", model.decoder).block
        attentions = [block.layer[1].EncDecAttention for block in blocks]
        self.projections = nn.ModuleList(each for one in attentions for each in (one.k, one.v))
        self.heads = attentions[0].n_heads

    def forward(self, input_ids: Tensor, lengths: Tensor) -> Tensor:
        """Token ids int64 (T,) of n texts end to end and their lengths int64 (n,) to keys and values float32
        (2 L, H, T, D): of each layer the keys, then the values."""
        states = token_states(self.encoder, input_ids, packing_of(lengths, input_ids.shape[0]))  # (T, d)
        projected = [each(states).unflatten(-1, (self.heads, -1)).transpose(0, 1) for each in self.projections]
        return torch.stack(projected)  # of (H, T, D)


class DecoderStep(nn.Module):
    """One step of the decoder, for T texts with K hypotheses each: tokens in, logits out."""

    def __init__(self, model: PreTrainedModel, tokens: int) -> None:
        """`tokens` are those of the tokenizer: a vocabulary may be padded, and no such place is ever to be chosen."""
        super().__init__()
        decoder = cast("Any", model.decoder)
        self.embed, self.norm, self.blocks = decoder.embed_tokens, decoder.final_layer_norm, decoder.block
        self.head = nn.Linear(model.config.d_model, tokens, bias=False)
        self.head.weight = nn.Parameter(cast("Any", model.lm_head).weight[:tokens])
        self.scale = model.config.d_model**-0.5 if _scales(model.config) else 1.0
        self.biases = nn.ParameterList(nn.Parameter(table) for table in _biases(self.blocks))

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
        states = self.embed(token)  # (T, K, d)
        past = torch.arange(kept[0].shape[3])[None]  # (1, P)
        source = torch.arange(kept[2].shape[2])[None]  # (1, S)
        behind = (past >= position[:, None])[:, None, None, None]  # (T, 1, 1, 1, P)
        beyond = (source >= source_length[:, None])[:, None, None]  # (T, 1, 1, S)
        distance = position[:, None] - past  # (T, P)
        keys, values = [], []
        for index, block in enumerate(self.blocks):
            past_keys, past_values, source_keys, source_values = kept[4 * index : 4 * index + 4]
            own = block.layer[0]
            normed = own.layer_norm(states)
            query, key, value = (
                each(normed).unflatten(-1, (own.SelfAttention.n_heads, -1))  # (T, K, H, D)
                for each in (own.SelfAttention.q, own.SelfAttention.k, own.SelfAttention.v)
            )
            keys.append(key)
            values.append(value)
            table = self.biases[index]  # (H, distances)
            bias = table[:, distance.clamp(0, table.shape[1] - 1)].transpose(0, 1)[:, None, :, None]  # (T, 1, H, 1, P)
            scores = (query[..., None, :] @ past_keys.transpose(-1, -2) + bias).masked_fill(behind, -torch.inf)
            to_itself = (query * key).sum(-1)[..., None, None] + table[:, 0, None, None]  # (T, K, H, 1, 1)
            weights = torch.cat([scores, to_itself], -1).softmax(-1)  # (T, K, H, 1, P + 1)
            mixed = (weights[..., :-1] @ past_values)[..., 0, :] + weights[..., 0, -1:] * value  # (T, K, H, D)
            states = states + own.SelfAttention.o(mixed.flatten(-2))

            cross = block.layer[1]
            query = cross.EncDecAttention.q(cross.layer_norm(states)).unflatten(-1, (cross.EncDecAttention.n_heads, -1))
            scores = query.transpose(1, 2) @ source_keys.transpose(-1, -2)  # (T, H, K, S)
            weights = scores.masked_fill(beyond, -torch.inf).softmax(-1)
            mixed = (weights @ source_values).transpose(1, 2).flatten(-2)  # (T, K, H D)
            states = states + cross.EncDecAttention.o(mixed)
            states = block.layer[2](states)
        logits = self.head(self.norm(states) * self.scale)
        return logits, torch.stack(keys), torch.stack(values)


def _scales(config: PreTrainedConfig) -> bool:
    """Whether a network scales what its head gets: T5 says it, UMT5 goes by whether its embeddings are tied, and mT5
    never does."""
    if config.model_type == "umt5":
        return bool(config.tie_word_embeddings)
    return bool(getattr(config, "scale_decoder_outputs", False))


def _biases(blocks: Sequence[Any]) -> list[Tensor]:
    """Of each layer the bias by head and distance (H, N): distances beyond the last have the last one's. T5's layers
    share the first one's, UMT5's have one each."""
    tables: list[Tensor] = []
    for block in blocks:
        own = block.layer[0].SelfAttention
        if own.has_relative_attention_bias:
            places = own.relative_attention_max_distance + 1
            tables.append(own.compute_bias(places, places)[0, :, -1].flip(-1).detach())
        else:
            tables.append(tables[0])
    return tables


def shape_of(model: PreTrainedModel) -> Shape:
    """The sizes of what is kept of each token."""
    config = model.config
    return Shape(layers=len(cast("Any", model.decoder).block), heads=config.num_heads, size=config.d_kv)


def write_graphs(model: PreTrainedModel, tokens: int, folder: Path) -> None:
    """Write both graphs into `folder`; `tokens` are those that may be chosen."""
    encoder, step, shape = SourceEncoder(model).eval(), DecoderStep(model, tokens).eval(), shape_of(model)
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
