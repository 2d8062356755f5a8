"""The network that serves: packed token ids in, one pooled vector for each text out; and its ONNX graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from encserve_export.attention.encoding import attention, token_states
from encserve_export.attention.packing import Packing, packing_of
from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.checkpoint.sentence.pooling import POOLINGS

from .graph_file import write_graph_file

GRAPH_FILE = "model.onnx"
OPSET = 20
"""The newest operator set before ONNX's own Attention, whose mask ONNX Runtime does not broadcast on CPU."""
_TRACED_LENGTHS = (5, 17, 9, 33)
_TOKENS, _TEXTS = torch.export.Dim("tokens", min=1), torch.export.Dim("texts", min=1)
_MASKS = torch.export.Dim("masks", min=1)
_DIMS = {
    "input_ids": _TOKENS,
    "token_type_ids": _TOKENS,
    "attention_mask": _TOKENS,
    "pooling_mask": _TOKENS,
    "entity_roles": _TOKENS,
    "adapter_ids": _TOKENS,
    "lengths": _TEXTS,
    "mask_at": _MASKS,
}


class PackedEncoder(nn.Module):
    """An encoder, its pooling and the dense layers before and after that, on a pack of texts."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.encoder = checkpoint.encoder
        self.token_dense = nn.Sequential(*checkpoint.modules.token_dense)
        self.dense = nn.Sequential(*checkpoint.modules.dense)
        self.pool = POOLINGS[checkpoint.modules.pooling]

    def forward(self, input_ids: Tensor, lengths: Tensor, pooling_mask: Tensor | None = None) -> Tensor:
        """Token ids int64 (T,) of n texts end to end and their lengths int64 (n,) to vectors float32 (n, H), which are
        not of the tokens at which `pooling_mask` int64 (T,) is 0."""
        packing = packing_of(lengths, input_ids.shape[0]).pooling(pooling_mask)
        return self.head(self.states(input_ids, packing), packing, input_ids)

    def head(self, states: Tensor, packing: Packing, input_ids: Tensor) -> Tensor:
        """Token vectors (T, H) to vectors (n, H)."""
        return self.dense(self.pool(self.token_dense(states), packing))  # type: ignore[no-any-return]

    def states(self, input_ids: Tensor, packing: Packing, token_type_ids: Tensor | None = None) -> Tensor:
        """The vector of each token: (T,) to (T, H)."""
        return token_states(self.encoder, input_ids, packing, token_type_ids)


def write_graph(checkpoint: Checkpoint, network: nn.Module, file: Path, outputs: Sequence[str] = ()) -> None:
    """Write the packed `network` of `checkpoint` as ONNX, with T and n left open. `outputs` defaults to the task's."""
    sample = sample_inputs(checkpoint)
    with attention(checkpoint.encoder), quiet_exporter():
        program = torch.onnx.export(
            network.eval(),
            kwargs=sample,
            dynamo=True,
            dynamic_shapes={name: {0: _DIMS[name]} for name in sample},
            input_names=list(sample),
            output_names=list(outputs) or [output.name for output in checkpoint.task.outputs],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    strip_traces(graph)
    write_graph_file(graph, file)


def sample_inputs(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Inputs of the packed network to trace it with, in the order in which it takes them."""
    tokens = torch.zeros(sum(_TRACED_LENGTHS), dtype=torch.int64)
    known = {
        "input_ids": tokens,
        "lengths": torch.tensor(_TRACED_LENGTHS),
        "token_type_ids": torch.zeros_like(tokens),
        "attention_mask": torch.ones_like(tokens),
        "pooling_mask": torch.ones_like(tokens),
        "entity_roles": torch.ones_like(tokens),
        "adapter_ids": torch.ones_like(tokens),
        "mask_at": torch.tensor([0, 3, 7]),
    }
    return {name: known[name] for name in checkpoint.graph_inputs}


def strip_traces(graph: onnx.ModelProto) -> None:
    """Drop the stack traces that the exporter leaves in the graph: they name this machine's files."""
    del graph.metadata_props[:]
    for part in (
        *graph.graph.node,
        *graph.graph.input,
        *graph.graph.output,
        *graph.graph.value_info,
        *graph.graph.initializer,
    ):
        del part.metadata_props[:]
        part.doc_string = ""
    for function in graph.functions:
        del function.metadata_props[:]


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """The exporter warns of its own internals, which no reader of ours can act upon."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
