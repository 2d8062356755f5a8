"""The network that serves: packed token ids in, one pooled vector for each text out; and its ONNX graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from .checkpoint import Checkpoint
from .encoding import attention, token_states
from .packing import packing_of
from .pooling import POOLINGS

OPSET = 20
"""The newest operator set before ONNX's own Attention, whose mask ONNX Runtime does not broadcast on CPU."""
OUTPUT = "sentence_embedding"
_TRACED_LENGTHS = (5, 17, 9, 33)
_EXTERNAL_ABOVE_BYTES = 1_900_000_000  # a protobuf message ends at 2 GiB


class PackedEncoder(nn.Module):
    """An encoder, its pooling and its dense layers, on a pack of texts."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.encoder = checkpoint.model
        self.dense = nn.Sequential(*checkpoint.modules.dense)
        self.pool = POOLINGS[checkpoint.modules.pooling]

    def forward(self, input_ids: Tensor, lengths: Tensor) -> Tensor:
        """Token ids int64 (T,) of n texts end to end and their lengths int64 (n,) to vectors float32 (n, H)."""
        packing = packing_of(lengths, input_ids.shape[0])
        states = token_states(self.encoder, input_ids, packing)  # (T, H)
        return self.dense(self.pool(states, packing))  # type: ignore[no-any-return]


def write_graph(checkpoint: Checkpoint, file: Path) -> None:
    """Write the packed graph of `checkpoint` as ONNX, with T and n left open."""
    input_ids = torch.zeros(sum(_TRACED_LENGTHS), dtype=torch.int64)
    lengths = torch.tensor(_TRACED_LENGTHS)
    tokens, texts = torch.export.Dim("tokens", min=1), torch.export.Dim("texts", min=1)
    with attention(checkpoint.model), _quiet_exporter():
        program = torch.onnx.export(
            PackedEncoder(checkpoint).eval(),
            (input_ids, lengths),
            dynamo=True,
            dynamic_shapes={"input_ids": {0: tokens}, "lengths": {0: texts}},
            input_names=["input_ids", "lengths"],
            output_names=[OUTPUT],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    _strip_traces(graph)
    onnx.save(
        graph,
        file,
        save_as_external_data=graph.ByteSize() > _EXTERNAL_ABOVE_BYTES,
        location=f"{file.name}.data",
    )


def _strip_traces(graph: onnx.ModelProto) -> None:
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
def _quiet_exporter() -> Iterator[None]:
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
